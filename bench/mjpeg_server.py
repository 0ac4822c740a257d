"""A network camera for the bench and the tests: python mjpeg_server.py PORT RATE WIDTHxHEIGHT[,...] [FRAMES]

Motion JPEG at http://127.0.0.1:PORT/live.mjpg. In each picture of at least 640 pixels' width stands, as black and white
squares, when it was made. With several sizes each connection gets FRAMES of one and then the next; with one size and
FRAMES it is cut after so many. Prints a line when it listens. Runs under Python 3.6, too.
"""

import socketserver
import sys
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any, List, Tuple, Type

import cv2
import numpy as np

SQUARE, BITS = 16, 40
_HEAD = b"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n"


def stamp(image: np.ndarray, milliseconds: int) -> None:
    """Writes a number into the upper left corner of a picture of 640 pixels' width or more."""
    for bit in range(BITS):
        image[:SQUARE, bit * SQUARE : (bit + 1) * SQUARE] = 255 * (milliseconds >> bit & 1)


def read_stamp(image: np.ndarray) -> int:
    """The number that stamp() wrote, after JPEG."""
    row = image[SQUARE // 2, SQUARE // 2 : BITS * SQUARE : SQUARE].mean(axis=1) > 127
    return sum(1 << bit for bit, is_set in enumerate(row) if is_set)


def picture(width: int, height: int, number: int) -> np.ndarray:
    """A gradient that moves."""
    row = ((np.arange(width) * 2 + number * 3) % 256).astype(np.uint8)
    image = np.repeat(np.repeat(row[np.newaxis, :, np.newaxis], height, axis=0), 3, axis=2)
    if width >= BITS * SQUARE:
        stamp(image, int(time.monotonic() * 1000))
    return image


class Server(socketserver.ThreadingMixIn, HTTPServer):
    daemon_threads = True
    allow_reuse_address = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A viewer that leaves is no error."""


def handler(rate: float, sizes: List[Tuple[int, int]], frames: int) -> Type[BaseHTTPRequestHandler]:
    class Camera(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
            self.end_headers()
            due, number = time.monotonic(), 0
            while frames == 0 or len(sizes) > 1 or number < frames:
                width, height = sizes[number // frames % len(sizes) if frames else 0]
                data = cv2.imencode(".jpg", picture(width, height, number))[1].tobytes()
                self.wfile.write(_HEAD % len(data) + data + b"\r\n")
                number += 1
                due += 1 / rate
                time.sleep(max(0.0, due - time.monotonic()))

        def log_message(self, *words: Any) -> None:
            """Nothing: whoever started this reads its output."""

    return Camera


def main(port: str, rate: str, sizes: str, frames: str = "0") -> None:
    shapes = [(int(width), int(height)) for width, height in (size.split("x") for size in sizes.split(","))]
    server = Server(("127.0.0.1", int(port)), handler(float(rate), shapes, int(frames)))
    sys.stdout.write("listening\n")
    sys.stdout.flush()
    server.serve_forever()


if __name__ == "__main__":
    main(*sys.argv[1:])
