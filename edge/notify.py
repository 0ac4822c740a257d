"""Says to whoever supervises this process how it is: sd_notify(3)'s protocol, written to the socket itself."""

import socket
from contextlib import suppress
from typing import Optional

READY = "READY=1"
ALIVE = "WATCHDOG=1"


class Notifier:
    """The socket that $NOTIFY_SOCKET names; without one every call does nothing."""

    def __init__(self, address: Optional[str]) -> None:
        """address: a path, or @NAME for an abstract socket."""
        self._address = address.replace("@", "\0", 1) if address and address.startswith("@") else address

    def say(self, *states: str) -> None:
        """Sends KEY=VALUE lines as one datagram. A supervisor that is gone or has no room is not waited for."""
        if not self._address:
            return
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.setblocking(False)
            with suppress(OSError):  # it decides by what arrives: a lost datagram is one sign of life less
                sender.sendto("\n".join(states).encode("utf-8"), self._address)


def status(text: str) -> str:
    """A line that `systemctl status` shows."""
    return "STATUS=" + " ".join(text.split())
