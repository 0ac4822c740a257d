"""What a person names becomes a feed: something that can be opened, and opened again when it was lost."""

import glob
import os
import re
from typing import Any, Callable, Dict, NamedTuple, Tuple

from edge.address import escaped, hidden, host_and_port, is_address
from edge.contract.errors import SourceError, UsageError
from edge.sources.source import Source, monotonic_ns

_CONNECT_S = 2.0
_CSI_SIZE, _CSI_RATE = (1280, 720), 30
_TEST_SIZE, _TEST_RATE = (640, 480), 30


class Feed(NamedTuple):
    name: str  # as it was named, without passwords
    live: bool  # frames come in their own time: only the newest counts, and what is lost is opened again
    look: Callable[[], Any]  # raises SourceError at once if it plainly is not there; costs next to nothing
    open: Callable[[], Source]  # raises SourceError, or InputError for what will not become better by waiting


def find_feed(text: str, clock_ns: Callable[[], int] = monotonic_ns, devices: str = "/dev") -> Feed:
    """The feed that a person named; nothing is opened yet.

    text: a whole number or /dev/videoN for a V4L2 camera; csi:N, csi:N:WxH@F for a Jetson's CSI camera; an address
    that begins with rtsp:// or http://; test: or test:WxH@F for a pattern; @FILE for a file that holds one of these in
    a line, so that no password is typed; else the path of a film, a picture or a folder of pictures. Raises UsageError.
    """
    if text.startswith("@"):
        text = only_line(text[1:])
    camera = re.fullmatch(r"(?:/dev/video)?([0-9]+)", text)
    if camera:
        return _v4l2_feed("{}/video{}".format(devices, int(camera.group(1))), devices)
    if text.startswith("test:"):
        size, rate = _size_and_rate(text, "test:", _TEST_SIZE, _TEST_RATE)
        return _test_feed(text, size, rate, clock_ns)
    if text.startswith("csi:"):
        csi = re.match(r"csi:([0-9]+)(?::|$)", text)
        if csi is None:
            raise UsageError("the source {}".format(text), "csi:N or csi:N:WIDTHxHEIGHT@RATE", "csi:0, for one")
        size, rate = _size_and_rate(text, csi.group(), _CSI_SIZE, _CSI_RATE)
        return _csi_feed(text, int(csi.group(1)), size, rate, clock_ns)
    if is_address(text):
        return _stream_feed(text)

    def open_path() -> Source:
        from edge.sources.files import open_files

        return open_files(text, clock_ns)

    return Feed(text, False, lambda: None, open_path)


def open_source(text: str, clock_ns: Callable[[], int] = monotonic_ns, devices: str = "/dev") -> Source:
    """The source that a person named, open. Parameters as find_feed. Raises SourceError, InputError, UsageError."""
    feed = find_feed(text, clock_ns, devices)
    feed.look()
    return feed.open()


def _size_and_rate(text: str, start: str, size: Tuple[int, int], rate: int) -> Tuple[Tuple[int, int], int]:
    """What `text` says after `start`, WIDTHxHEIGHT@RATE, or what is usual. Raises UsageError."""
    if text == start:
        return size, rate
    said = re.fullmatch(r"([1-9][0-9]{0,3})x([1-9][0-9]{0,3})@([1-9][0-9]{0,4})", text[len(start) :])
    if said is None or int(said.group(1)) % 4:
        raise UsageError(
            "the source {}".format(text), "WIDTHxHEIGHT@RATE, the width a multiple of 4", "csi:0:1280x720@30, for one"
        )
    return (int(said.group(1)), int(said.group(2))), int(said.group(3))


def only_line(path: str) -> str:
    """What a file says in its only line. Raises UsageError. A pipe's can be read once, a file's as often as wanted."""
    try:
        with open(path, encoding="utf-8") as file:
            lines = file.read(65536).splitlines()
    except (OSError, UnicodeDecodeError):
        lines = []
    if len(lines) != 1 or lines[0].startswith("@"):
        raise UsageError("the file {}".format(path), "one line with a source or an address", "write one")
    return lines[0].strip()


def _v4l2_feed(device: str, devices: str) -> Feed:
    def look() -> None:
        present = sorted(glob.glob(os.path.join(glob.escape(devices), "video[0-9]*")))
        if device not in present:
            raise SourceError(
                "there is no camera {}".format(device),
                "one of {}".format(", ".join(present)) if present else "a V4L2 camera; none is there",
                "plug one in or name another source",
            )
        if not os.access(device, os.R_OK | os.W_OK):
            raise SourceError(
                "no permission for the camera {}".format(device),
                "a user in its group, on most systems `video`",
                "run `sudo usermod -aG video $USER` and log in again",
            )

    return Feed(device, True, look, lambda: _read_apart({"device": device}, device))


def _stream_feed(text: str) -> Feed:
    host, port = host_and_port(text)
    name = hidden(text)

    def look() -> None:
        import socket  # only streams need it, and it takes long to load

        try:
            socket.create_connection((host, port), timeout=_CONNECT_S).close()
        except (OSError, UnicodeError) as error:  # UnicodeError: a host's name that cannot be one
            raise SourceError(
                "{} is not reached: {}".format(name, getattr(error, "strerror", None) or error),
                "a server at {} port {}".format(host, port),
                "check the address, and whether the camera is on",
            ) from None

    return Feed(name, True, look, lambda: _read_apart({"address": escaped(text)}, name))


def _csi_feed(text: str, number: int, size: Tuple[int, int], rate: int, clock_ns: Callable[[], int]) -> Feed:
    def open_csi() -> Source:
        from edge.sources import gstreamer

        pipeline = gstreamer.csi_pipeline(number, size, rate)
        if gstreamer.opencv_has_it():
            return _read_apart({"pipeline": gstreamer.to_opencv(pipeline)}, text)
        return gstreamer.read_pipe(pipeline, size, rate, text, clock_ns)

    return Feed(text, True, lambda: None, open_csi)


def _test_feed(text: str, size: Tuple[int, int], rate: int, clock_ns: Callable[[], int]) -> Feed:
    def open_pattern() -> Source:
        from edge.sources.pattern import open_pattern

        return open_pattern(size, rate, text, clock_ns)

    return Feed(text, True, lambda: None, open_pattern)


def _read_apart(request: Dict[str, str], name: str) -> Source:
    from edge.sources.reader_process import read_apart

    return read_apart(request, name)
