"""What Tornado carries, as the requests and replies of edge.web.request, and back."""

from typing import Any

from edge.web.request import Reply, Request

_COOKIE = "edgewise"


def read_request(asked: Any, scheme: str) -> Request:
    headers = asked.headers
    cookie = asked.cookies.get(_COOKIE)
    kind, _, bearer = headers.get("Authorization", "").partition(" ")
    return Request(
        method=asked.method,
        path=asked.path,
        host=headers.get("Host", ""),
        origin=headers.get("Origin"),
        address=asked.remote_ip,
        session=cookie.value if cookie else "",
        token=headers.get("X-CSRF-Token", ""),
        content_type=headers.get("Content-Type", ""),
        body=asked.body,
        scheme=scheme,
        bearer=bearer if kind.lower() == "bearer" else "",
    )


def begin_reply(handler: Any, reply: Reply) -> None:
    """Its status and headers."""
    handler.set_status(reply.status)
    handler.set_header("Content-Type", reply.content_type)
    for name, value in reply.headers.items():
        handler.set_header(name, value)
    if reply.session is not None:  # Morsel knows SameSite from Python 3.8 on
        parts = [_COOKIE + "=" + reply.session, "Path=/", "HttpOnly", "SameSite=Strict"]
        parts += ["Max-Age=0"] if not reply.session else []
        parts += ["Secure"] if handler.request.protocol == "https" else []
        handler.set_header("Set-Cookie", "; ".join(parts))


def send_reply(handler: Any, reply: Reply) -> None:
    begin_reply(handler, reply)
    if reply.status == 204:
        handler.clear_header("Content-Type")
        handler.finish()
    else:
        handler.finish(reply.body)
