"""What the page's server is asked and what it answers, apart from the library that carries it."""

import json
from typing import Any, Dict, Iterator, NamedTuple, Optional

from edge.contract.errors import EdgewiseError, InputError, UsageError

JSON = "application/json"


class Request(NamedTuple):
    method: str
    path: str  # decoded, without the query
    host: str  # the header
    origin: Optional[str]  # the header, which browsers send with everything that changes something
    address: str  # of the other end
    session: str  # the cookie's value, or ""
    token: str  # the header X-CSRF-Token, or ""
    content_type: str
    body: bytes
    scheme: str  # http or https
    bearer: str = ""  # what the header Authorization gives as one


class Reply(NamedTuple):
    status: int
    content_type: str = JSON
    body: bytes = b""
    session: Optional[str] = None  # a new value for the cookie; "" takes it away
    headers: Dict[str, str] = {}  # noqa: RUF012  never changed; besides those that every reply has
    pieces: Optional[Iterator[bytes]] = None  # instead of the body: none empty, each made when the one before is sent


class Refused(Exception):
    """What was asked is refused with an HTTP status, before anything was done."""

    def __init__(self, status: int, found: str, expected: str, remedy: str, headers: Optional[Dict[str, str]] = None):
        super().__init__(status, found)
        self.reply = error_reply(status, "Refused", found, expected, remedy)._replace(headers=headers or {})


def json_reply(fields: Any, status: int = 200) -> Reply:
    return Reply(status, JSON, json.dumps(fields).encode("utf-8"))


def error_reply(status: int, kind: str, found: str, expected: str, remedy: str) -> Reply:
    """The form that every refusal has, the same as --json's."""
    return json_reply({"error": {"kind": kind, "found": found, "expected": expected, "remedy": remedy}}, status)


def reply_to_error(error: EdgewiseError) -> Reply:
    """400 for what was asked wrongly, 404 for what is not there, 409 for what cannot be done now."""
    status = 400 if isinstance(error, UsageError) else 404 if isinstance(error, InputError) else 409
    return error_reply(status, type(error).__name__, error.found, error.expected, error.remedy)


def fields_of(request: Request, **kinds: type) -> Dict[str, Any]:
    """The members of the request's JSON object, each of its kind; a kind `str` must be there. Raises Refused."""
    if request.content_type.split(";")[0].strip().lower() != JSON:
        raise Refused(415, "content of the type {!a}".format(request.content_type), JSON, "send JSON")
    try:
        fields = json.loads(request.body.decode("utf-8"))
    except ValueError:
        raise Refused(400, "a body that is no JSON", "one JSON object", "send one") from None
    if not isinstance(fields, dict) or set(fields) != set(kinds):
        raise Refused(400, "other members than needed", "an object with " + ", ".join(sorted(kinds)), "send it")
    for name, kind in kinds.items():
        if type(fields[name]) is not kind:
            raise Refused(400, "{} is no {}".format(name, kind.__name__), "one", "send it")
    return fields
