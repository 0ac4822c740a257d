"""Who may ask the page for what: names, origins, passwords, sessions and tokens. Knows no HTTP library."""

import hashlib
import hmac
import secrets
import threading
import time
from typing import Any, Callable, Dict, NamedTuple, Optional, Tuple

from edge.web.address import may_be_named
from edge.web.password import is_password
from edge.web.request import Refused, Request

SESSION_S = 12 * 3600.0  # without a request; then the password is asked for again
MOST_SESSIONS = 200
MOST_BYTES_OF_PASSWORD = 1024
_FREE_TRIES = 5  # of a log-in, by one address; then 1, 2, 4 ... 60 s between them
_LONGEST_WAIT_S = 60.0
_FORGIVEN_S = 900.0
_MOST_ADDRESSES = 1000  # remembered with wrong tries; beyond that all share one count


class _Session(NamedTuple):
    token: str  # to be sent with everything that changes something
    used_at: float


class Guard:
    """Says no by raising Refused. For any thread."""

    def __init__(
        self,
        password: Optional[Dict[str, Any]],
        names: Tuple[str, ...],
        clock: Callable[[], float] = time.monotonic,
        scraper_token: str = "",
    ) -> None:
        """password: as edge.web.password keeps it; None: whoever reaches the page may use it.

        scraper_token: what a program may read the metrics by, and nothing else; "": none.
        """
        self._password = password
        self._names = names
        self._clock = clock
        self._scraper_token = scraper_token
        self._token = secrets.token_urlsafe(32)  # of everybody, where there is no password
        self._sessions: Dict[str, _Session] = {}  # by the hash of the cookie
        self._wrong: Dict[str, Tuple[int, float]] = {}  # by address: how often, and when last
        self._lock = threading.Lock()

    @property
    def wants_password(self) -> bool:
        return self._password is not None

    def check_place(self, request: Request) -> None:
        """Refuses what was meant for another name, and what another page's script sends."""
        if not may_be_named(request.host, self._names):
            raise Refused(
                421, "the name {!a}".format(request.host), "this machine's name or address", "open the page by that"
            )
        own = "{}://{}".format(request.scheme, request.host)
        if request.origin is not None and request.origin.lower() != own.lower():
            raise Refused(403, "asked by {!a}".format(request.origin), own, "ask from the page itself")

    def token_of(self, session: str) -> Optional[str]:
        """The token of an open session, whose time begins again; None for none."""
        if self._password is None:
            return self._token
        now = self._clock()
        with self._lock:
            found = self._sessions.get(_hashed(session))
            if found is None or now - found.used_at > SESSION_S:
                self._sessions.pop(_hashed(session), None)
                return None
            self._sessions[_hashed(session)] = found._replace(used_at=now)
            return found.token

    def check_session(self, request: Request) -> None:
        """Refuses who has not logged in; and of who has, a change without the token."""
        token = self.token_of(request.session)
        if token is None:
            raise Refused(401, "no session", "one that a password opened", "log in")
        if request.method not in ("GET", "HEAD") and not _same(token, request.token):
            raise Refused(403, "no token, or an old one", "X-CSRF-Token as /api/session gives it", "load the page anew")

    def check_scraper(self, request: Request) -> None:
        """As check_session, but a program that cannot log in may come with the scraper's token instead."""
        if not self._scraper_token or not _same(self._scraper_token, request.bearer):
            self.check_session(request)

    def log_in(self, address: str, password: str) -> str:
        """Opens a session; returns the cookie's value."""
        wait_s = self._wait_s(address)
        if wait_s > 0:
            raise Refused(
                429,
                "too many wrong passwords",
                "one in {:.0f} s".format(max(1.0, wait_s)),
                "wait",
                {"Retry-After": "{:.0f}".format(max(1.0, wait_s))},
            )
        if len(password) > MOST_BYTES_OF_PASSWORD or (
            self._password is not None and not is_password(password, self._password)
        ):
            raise Refused(403, "a wrong password", "the one that was set on the board", "try again")
        session = secrets.token_urlsafe(32)
        with self._lock:
            self._wrong.pop(address, None)
            while len(self._sessions) >= MOST_SESSIONS:
                del self._sessions[min(self._sessions, key=lambda each: self._sessions[each].used_at)]
            self._sessions[_hashed(session)] = _Session(secrets.token_urlsafe(32), self._clock())
        return session

    def log_out(self, session: str) -> None:
        with self._lock:
            self._sessions.pop(_hashed(session), None)

    def _wait_s(self, address: str) -> float:
        """How long `address` must wait. If not at all, it is counted as wrong until it proves right.

        Counted before the password is looked at, so that many tries at once are no way around it.
        """
        now = self._clock()
        with self._lock:
            self._wrong = {a: tried for a, tried in self._wrong.items() if now - tried[1] < _FORGIVEN_S}
            if address not in self._wrong and len(self._wrong) >= _MOST_ADDRESSES:
                address = ""
            count, last = self._wrong.get(address, (0, now))
            pause_s = min(_LONGEST_WAIT_S, 2.0 ** (count - _FREE_TRIES)) if count >= _FREE_TRIES else 0.0
            if last + pause_s > now:
                return last + pause_s - now
            self._wrong[address] = (count + 1, now)
            return 0.0


def _same(secret: str, given: str) -> bool:
    return hmac.compare_digest(secret.encode("ascii"), given.encode("utf-8", "surrogateescape"))


def _hashed(session: str) -> str:
    """A copy of this process's memory opens no session, and a look-up takes no time that tells of the key."""
    return hashlib.sha256(session.encode("utf-8", "surrogateescape")).hexdigest()
