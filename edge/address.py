"""Addresses of streams: where they lead, and how they are shown without what is secret in them."""

import re
from typing import Tuple

from edge.contract.errors import UsageError

_PORTS = {"rtsp": 554, "rtsps": 322, "http": 80, "https": 443}
# A password may itself hold / and @, so all up to the last @ is taken away
_USER = re.compile(r"(?<=://).*@", re.DOTALL)
_SECRET = re.compile(r"((?:pass|pwd|token|auth|secret|key)[\w-]*)=[^&;/\s]*", re.IGNORECASE)


def is_address(text: str) -> bool:
    return re.match(r"[A-Za-z][A-Za-z0-9+.-]*://", text) is not None


def hidden(text: str) -> str:
    """`text` as it may be shown: of an address, without user and password and without values named like secrets."""
    return _SECRET.sub(r"\1=***", _USER.sub("", text)) if is_address(text) else text


def escaped(text: str) -> str:
    """The address with its user and password as a URL has them, however they were typed."""
    from urllib.parse import quote  # here and below: only streams need it, and each start reads this file

    scheme, _, rest = text.partition("://")
    login, at, place = rest.rpartition("@")
    user, colon, password = login.partition(":")
    return "{}://{}{}".format(scheme, quote(user, safe="%") + colon + quote(password, safe="%") + at, place)


def host_and_port(text: str) -> Tuple[str, int]:
    """Where a stream's address leads. Raises UsageError for one that no stream has."""
    from urllib.parse import urlsplit

    refused = UsageError(
        "the address {}".format(hidden(text)), "rtsp://HOST/PATH or http://HOST/PATH", "check how it is written"
    )
    scheme, _, rest = text.partition("://")
    if scheme.lower() not in _PORTS:
        raise refused
    try:
        parts = urlsplit("{}://{}".format(scheme.lower(), rest.rpartition("@")[2]))
        host, port = parts.hostname, parts.port
    except ValueError:
        raise refused from None
    if not host or re.search(r"[\s\0]", text):
        raise refused
    return host, port or _PORTS[scheme.lower()]
