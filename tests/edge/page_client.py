"""A browser in a few lines for the tests of the page: plain sockets, so that what is odd can be sent, too."""

import base64
import http.client
import json
import os
import socket
import struct


class PageClient:
    def __init__(self, port, host="127.0.0.1"):
        self.port, self.host = port, host
        self.cookie = self.token = ""

    def ask(self, method, path, fields=None, **headers):
        """(status, headers, body), the body as an object if it is JSON."""
        connection = http.client.HTTPConnection(self.host, self.port, timeout=20)
        sent = {"X-CSRF-Token": self.token, "Cookie": "edgewise=" + self.cookie}
        body = None
        if fields is not None:
            sent["Content-Type"], body = "application/json", json.dumps(fields)
        sent.update({name.replace("_", "-"): value for name, value in headers.items()})
        connection.request(method, path, body, {name: value for name, value in sent.items() if value is not None})
        reply = connection.getresponse()
        data = reply.read()
        found = dict(reply.getheaders())
        connection.close()
        if found.get("Content-Type") == "application/json":
            data = json.loads(data.decode("utf-8")) if data else None
        return reply.status, found, data

    def enter(self, password=None):
        """Gets the token, with a password by logging in."""
        if password is not None:
            status, headers, _ = self.ask("POST", "/api/session", {"password": password})
            if status != 201:
                return status
            self.cookie = headers["Set-Cookie"].split(";")[0].split("=", 1)[1]
        self.token = self.ask("GET", "/api/session")[2]["token"] or ""
        return 201

    def raw(self, data, timeout_s=5.0):
        """What comes back for these bytes until the server closes or nothing comes for so long."""
        with socket.create_connection((self.host, self.port), timeout=timeout_s) as connection:
            found = b""
            try:
                connection.sendall(data)
                while True:
                    piece = connection.recv(65536)
                    if not piece:
                        return found
                    found += piece
            except OSError:
                return found

    def watch(self, **headers):
        return Viewer(self, headers)


class Viewer:
    """The viewer's end of /api/live (RFC 6455, as much of it as the page needs)."""

    def __init__(self, client, headers):
        sent = {"Host": "{}:{}".format(client.host, client.port), "Cookie": "edgewise=" + client.cookie}
        sent.update(headers)
        key = base64.b64encode(os.urandom(16)).decode()
        sent.update({"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13"})
        lines = ["GET /api/live HTTP/1.1", "Sec-WebSocket-Key: " + key] + [
            "{}: {}".format(*each) for each in sent.items()
        ]
        self._socket = socket.create_connection((client.host, client.port), timeout=20)
        self._socket.sendall(("\r\n".join(lines) + "\r\n\r\n").encode("latin-1"))
        self._file = self._socket.makefile("rb")
        self.status = int(self._file.readline().split()[1])
        while self._file.readline().strip():
            pass

    def next(self):
        """A message: an object, a picture's bytes (then the next is asked for), or None when the server closes."""
        while True:
            start = self._file.read(2)
            if len(start) < 2:
                return None
            kind, length = start[0] & 15, start[1] & 127
            if length > 125:
                form = "!H" if length == 126 else "!Q"
                length = struct.unpack(form, self._file.read(struct.calcsize(form)))[0]
            data = self._file.read(length)
            if kind == 8:
                return None
            if kind == 1:
                return json.loads(data.decode("utf-8"))
            if kind == 2:
                self.send(b"next")
                return data

    def send(self, data):
        self._socket.sendall(bytes([0x81, 0x80 | len(data)]) + b"\0\0\0\0" + data)

    def close(self):
        self._file.close()
        self._socket.close()
