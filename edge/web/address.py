"""Where the page listens, and by which names it may be asked for."""

import ipaddress
import re
import socket
from typing import NamedTuple, Tuple

from edge.contract.errors import UsageError

DEFAULT = "127.0.0.1:8080"
_LOOPBACK = ("localhost", "127.0.0.1", "::1")


class Address(NamedTuple):
    host: str  # an IP address, or a name to listen at
    port: int

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine reaches it."""
        return self.host in _LOOPBACK or (_is_ip(self.host) and ipaddress.ip_address(self.host).is_loopback)

    def url(self, scheme: str) -> str:
        """What a person opens. An address that stands for all of them is shown as this machine's name."""
        host = self.host
        if _is_ip(host) and ipaddress.ip_address(host).is_unspecified:
            host = socket.gethostname()
        return "{}://{}:{}/".format(scheme, "[{}]".format(host) if ":" in host else host, self.port)


def parse_address(text: str) -> Address:
    """ADDRESS:PORT, ADDRESS or :PORT; an IPv6 address in brackets. Raises UsageError."""
    found = re.fullmatch(r"(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]*)(?::([0-9]{1,5}))?", text)
    default_host, default_port = DEFAULT.split(":")
    host = (found.group(1).strip("[]") if found else "") or default_host
    port = int(found.group(2) or default_port) if found else -1
    if not text or not 0 <= port <= 65535 or host.isdigit():  # `--web 0` is a camera in the wrong place
        raise UsageError(
            "the address {!a}".format(text), "ADDRESS:PORT, such as " + DEFAULT, "name the camera before --web"
        )
    return Address(host, port)


def own_names() -> Tuple[str, ...]:
    """The names under which a browser may know this machine."""
    name = socket.gethostname().lower()
    return ("localhost", name, name.split(".")[0] + ".local")


def may_be_named(host_header: str, names: Tuple[str, ...]) -> bool:
    """Whether a Host header is an IP address or one of `names`.

    A page elsewhere can have its own name resolve to this machine's address (DNS rebinding), and its scripts then
    count as this page's; but no such name is an IP address or ours.
    """
    found = re.fullmatch(r"(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]+)(?::[0-9]{1,5})?", host_header)
    if not found:
        return False
    host = found.group(1).strip("[]").lower()
    return host in names or _is_ip(host)


def _is_ip(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
