"""The one door to Tornado: carries requests and pictures between browsers and the rest of edge/web, in its own thread.

Tornado 6.1 (Python 3.6) to now. Limits, so that nobody holds the server up: 16 kB of headers, 16 kB of body, 20 s for
either to come, so many connections and viewers.
"""

import asyncio
import json
import logging
import ssl
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any, AsyncIterator, Iterator, Optional, Set

from edge.contract.errors import UsageError
from edge.web.address import Address
from edge.web.carry import begin_reply, read_request, send_reply
from edge.web.request import Refused, Reply, Request, error_reply
from edge.web.routes import LIVE, Site
from edge.web.scene import Newest

try:
    import tornado.httpserver
    import tornado.ioloop
    import tornado.iostream
    import tornado.netutil
    import tornado.web
    import tornado.websocket
except ImportError:
    raise UsageError(
        "tornado is not installed",
        "Tornado 6.1 or later, which serves the page",
        "run `python3 -m pip install --user tornado` on the board",
    ) from None

MOST_CONNECTIONS, MOST_VIEWERS = 256, 64
_MOST_HEADER_BYTES = _MOST_BODY_BYTES = 16 << 10
_PATIENCE_S = 20.0
_PICTURES_PER_SECOND = 15.0  # to one viewer
_PICTURES_TO_ALL = 200.0  # a second; more would take the loop's time
_HEARTBEAT_S = 2.0  # how often viewers hear of a camera that shows nothing
_ANSWERING = 4  # threads
_LAST_WORDS_S = 0.2  # for answers that are on their way when the server is closed
_HEADERS = {
    "Server": "edgewise",
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:;"
    " connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


class PageServer:
    """Serves a site until it is closed. Use it with `with`."""

    def __init__(self, site: Site, address: Address, tls: Optional[ssl.SSLContext]) -> None:
        """Listens from now on. Raises UsageError for an address that cannot be had."""
        self.site = site
        self.scheme = "https" if tls else "http"
        self._pool = ThreadPoolExecutor(_ANSWERING, thread_name_prefix="page")
        self.viewers: Set["_Viewer"] = set()
        self.waiting: Set["_Viewer"] = set()
        self._tls = tls
        self._share_at = 0.0
        self._closing = False
        self._ready = threading.Event()
        try:
            self._sockets = tornado.netutil.bind_sockets(address.port, address.host)
        except OSError as error:  # also a name that does not resolve
            raise UsageError(
                "{}:{}: {}".format(address.host, address.port, error.strerror),
                "an address of this machine and a free port",
                "end the other program, or name another: --web ADDRESS:PORT",
            ) from None
        self.port = self._sockets[0].getsockname()[1]
        self._thread = threading.Thread(target=self._serve, name="page", daemon=True)

    def __enter__(self) -> "PageServer":
        self._thread.start()
        self._ready.wait()
        self.site.scene.on_change = self.wake
        return self

    def __exit__(self, *_: object) -> None:
        self.site.scene.on_change = lambda: None
        refusing = threading.Event()
        self._loop.add_callback(self._take_no_more, refusing)
        refusing.wait()
        self._pool.shutdown()  # what was asked before is answered
        self._loop.add_callback(self._loop.call_later, _LAST_WORDS_S, self._loop.stop)
        self._thread.join()

    def wake(self) -> None:
        """There is something new to see. From the loop's thread: takes microseconds, and most often does nothing."""
        if self.waiting and time.monotonic() >= self._share_at:
            self._share_at = time.monotonic() + max(1 / _PICTURES_PER_SECOND, len(self.viewers) / _PICTURES_TO_ALL)
            self._loop.add_callback(self._share)

    async def answer(self, request: Request) -> Reply:
        """The site's, found in another thread, since that may take a while."""
        if self._closing:
            return error_reply(503, "Refused", "the page is being closed", "one that is open", "try again")
        return await self._loop.run_in_executor(self._pool, self.site.answer, request)

    async def pieces(self, pieces: Iterator[bytes]) -> AsyncIterator[bytes]:
        """Each, made in another thread. Raises OSError where the server is closed, and what making one does."""
        while True:
            if self._closing:
                raise OSError("the page is being closed")
            piece = await self._loop.run_in_executor(self._pool, next, pieces, b"")
            if not piece:
                return
            yield piece

    def share_soon(self) -> None:
        """A viewer has come. From the server's own thread."""
        self._loop.add_callback(self._share)

    def _share(self) -> None:
        """Sends the newest picture, compressed once, to each viewer that has drawn the one before."""
        if not self.waiting:
            return
        seen = self.site.scene.newest()
        said = json.dumps(self.site.now(seen))
        waiting, self.waiting = self.waiting, set()
        for viewer in waiting:
            viewer.send(said, seen)

    def _serve(self) -> None:
        asyncio.set_event_loop(asyncio.new_event_loop())
        # What strangers send wrongly must not fill the log; our own faults are said by tornado.application
        logging.getLogger("tornado.general").setLevel(logging.ERROR)
        self._loop = tornado.ioloop.IOLoop.current()
        application = tornado.web.Application(
            [(LIVE, _Viewer, {"server": self}), (".*", _Asked, {"server": self})],
            log_function=lambda handler: None,
            websocket_ping_interval=20,
            websocket_ping_timeout=20,
            websocket_max_message_size=64,
        )
        server = _Connections(
            application,
            ssl_options=self._tls,
            max_header_size=_MOST_HEADER_BYTES,
            max_body_size=_MOST_BODY_BYTES,
            idle_connection_timeout=_PATIENCE_S,
            body_timeout=_PATIENCE_S,
        )
        server.add_sockets(self._sockets)
        heart = tornado.ioloop.PeriodicCallback(self._share, _HEARTBEAT_S * 1000)
        heart.start()
        self._ready.set()
        self._loop.start()
        heart.stop()
        server.stop()
        self._cancel_tasks()
        self._loop.close(all_fds=True)

    def _take_no_more(self, done: threading.Event) -> None:
        self._closing = True
        for viewer in list(self.viewers):
            viewer.close(1001)
        done.set()

    def _cancel_tasks(self) -> None:
        """Of viewers that have not said goodbye."""
        loop = asyncio.get_event_loop()
        all_tasks = asyncio.all_tasks if hasattr(asyncio, "all_tasks") else asyncio.Task.all_tasks  # novermin  3.7
        tasks = list(all_tasks(loop))
        for task in tasks:
            task.cancel()
        loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))


class _Connections(tornado.httpserver.HTTPServer):
    """A server that takes no more connections than it has room for."""

    count = 0

    def handle_stream(self, stream: Any, address: Any) -> None:
        if self.count >= MOST_CONNECTIONS:
            stream.close()
            return
        self.count += 1
        super().handle_stream(stream, address)

    def on_close(self, server_conn: object) -> None:
        self.count -= 1
        super().on_close(server_conn)


class _Asked(tornado.web.RequestHandler):
    """Any request but a viewer's."""

    def initialize(self, server: PageServer) -> None:
        self._server = server

    def set_default_headers(self) -> None:
        for name, value in _HEADERS.items():
            self.set_header(name, value)

    def compute_etag(self) -> None:
        return None  # nothing is to be kept

    async def get(self) -> None:
        reply = await self._server.answer(read_request(self.request, self._server.scheme))
        if reply.pieces is None or self.request.method == "HEAD":
            send_reply(self, reply)
            return
        begin_reply(self, reply)
        try:
            async for piece in self._server.pieces(reply.pieces):
                self.write(piece)
                await asyncio.wait_for(self.flush(), _PATIENCE_S)
        except (OSError, asyncio.TimeoutError, tornado.iostream.StreamClosedError):
            # The other end went or is too slow, or a file could not be read: without its end nobody takes it for whole
            self._auto_finish = False
            self.request.connection.close()

    head = post = delete = get

    def write_error(self, status_code: int, **why: Any) -> None:
        if status_code == 405:  # a method that is not one of these, which the site can say more of
            send_reply(self, self._server.site.answer(read_request(self.request, self._server.scheme)))
            return
        send_reply(self, error_reply(status_code, "Refused", self._reason, "another request", "see /api/openapi.json"))


class _Viewer(tornado.websocket.WebSocketHandler):
    """A browser that watches. It asks for the next picture when it has drawn the last, so a slow one gets fewer."""

    def initialize(self, server: PageServer) -> None:
        self._server = server
        self._seen = 0

    def set_default_headers(self) -> None:
        for name, value in _HEADERS.items():
            self.set_header(name, value)

    def prepare(self) -> None:
        self._asked = read_request(self.request, self._server.scheme)
        guard = self._server.site.guard
        try:
            guard.check_place(self._asked)
            guard.check_session(self._asked._replace(method="GET"))
            if len(self._server.viewers) >= MOST_VIEWERS:
                raise Refused(503, "{} viewers".format(MOST_VIEWERS), "fewer", "close the page elsewhere")
            if self._asked.method != "GET" or self.request.headers.get("Upgrade", "").lower() != "websocket":
                raise Refused(426, "no WebSocket", "one", "open it as one", {"Upgrade": "websocket"})
        except Refused as refused:
            send_reply(self, refused.reply)

    def check_origin(self, origin: str) -> bool:
        return True  # prepare() has

    def open(self, *_: str) -> None:
        self.set_nodelay(True)
        self._server.viewers.add(self)
        self._server.waiting.add(self)
        self._server.share_soon()

    def on_message(self, message: Any) -> None:
        self._server.waiting.add(self)

    def on_close(self) -> None:
        self._server.viewers.discard(self)
        self._server.waiting.discard(self)

    def send(self, said: str, seen: Optional[Newest]) -> None:
        """What is known, and the picture if it is another one."""
        if self._server.site.guard.token_of(self._asked.session) is None:
            self.close(1008, "logged out")
            return
        try:
            self._write(said)
            if seen is None or seen.number == self._seen:
                self._server.waiting.add(self)
            else:
                self._seen = seen.number
                self._write(self._server.site.scene.jpeg(seen))
        except tornado.websocket.WebSocketClosedError:
            self.on_close()

    def _write(self, message: Any) -> None:
        sent = self.write_message(message, binary=isinstance(message, bytes))
        # That the viewer went meanwhile is no error, but has to be looked at, or asyncio complains
        sent.add_done_callback(lambda done: done.cancelled() or done.exception())
