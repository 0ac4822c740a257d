"""The one door to paho-mqtt: alerts and events to a broker, whose connection is made and made again beside the loop.

Under PREFIX: `alert` (QoS 1: the last hundred wait for a broker that is away), `event` (QoS 0: lost meanwhile) and
`status`, retained, `online` or, by the broker's own hand, `offline`.
"""

import collections
import json
import re
import socket
import sys
import time
from typing import Any, Deque, Dict, List, NamedTuple
from urllib.parse import unquote, urlsplit

from edge.address import hidden
from edge.contract.errors import UsageError
from edge.sources.naming import only_line

try:
    import paho.mqtt.client as paho
except ImportError:
    raise UsageError(
        "paho-mqtt is not installed",
        "paho-mqtt 1.6 or later, which speaks to the broker",
        "run `python3 -m pip install --user paho-mqtt` on the board",
    ) from None

_PORTS = {"mqtt": 1883, "mqtts": 8883}
_MOST_WAITING = 100  # alerts while the broker is away
_FIRST_RETRY_S, _LONGEST_RETRY_S = 1, 60
_KEEPALIVE_S = 30
_LAST_WORDS_S = 2.0  # for what is on its way at the end
_AGAIN = "it is tried again after 1, 2, 4 ... 60 s"


class Address(NamedTuple):
    host: str
    port: int
    tls: bool
    user: str
    password: str
    prefix: str  # of the topics

    @property
    def name(self) -> str:
        """As it may be shown."""
        return "mqtt {}:{}".format(self.host, self.port)


def parse_broker(text: str) -> Address:
    """mqtt://[USER:PASSWORD@]HOST[:PORT][/PREFIX], mqtts:// for TLS, or @FILE with that in a line. Raises UsageError.

    User and password are as a URL has them, with %25 for a percent sign, but may hold @ and /.
    """
    if text.startswith("@"):
        text = only_line(text[1:])
    refused = UsageError(
        "the broker {}".format(hidden(text)), "mqtt://[USER:PASSWORD@]HOST[:PORT][/PREFIX]", "check how it is written"
    )
    scheme, _, rest = text.partition("://")
    login, _, place = rest.rpartition("@")
    user, _, password = login.partition(":")
    try:
        parts = urlsplit("mqtt://" + place)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise refused from None
    prefix = parts.path.strip("/") or "edgewise/" + socket.gethostname()
    if scheme not in _PORTS or not host or parts.query or parts.fragment or re.search(r"[+#\s\0]", place):
        raise refused
    return Address(host, port or _PORTS[scheme], scheme == "mqtts", unquote(user), unquote(password), prefix)


class Broker:
    """Use it with `with`. Nothing here waits for the network but the end, and that not for long."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self._lines: Deque[str] = collections.deque(maxlen=20)
        self._said = ""
        self._connected = False
        self._sent = self._acknowledged = self._dropped = 0
        version = getattr(paho, "CallbackAPIVersion", None)  # since 2.0
        self._client = paho.Client(version.VERSION2) if version else paho.Client()
        self._client.on_connect = lambda *given: self._came(given[3])
        self._client.on_connect_fail = lambda *given: self._failed(sys.exc_info()[1])
        self._client.on_disconnect = lambda *given: self._went()
        self._client.on_publish = lambda *given: self._acknowledge()
        self._client.max_queued_messages_set(_MOST_WAITING)
        self._client.reconnect_delay_set(_FIRST_RETRY_S, _LONGEST_RETRY_S)
        self._client.will_set(address.prefix + "/status", "offline", 1, True)
        if address.user:
            self._client.username_pw_set(address.user, address.password)
        if address.tls:
            self._client.tls_set()

    def __enter__(self) -> "Broker":
        self._client.connect_async(self._address.host, self._address.port, _KEEPALIVE_S)
        self._client.loop_start()
        return self

    def __exit__(self, *_: object) -> None:
        self._publish("status", "offline", 1, True)
        ends = time.monotonic() + _LAST_WORDS_S
        while self._acknowledged < self._sent and time.monotonic() < ends:
            time.sleep(0.01)
        self._client.on_disconnect = None
        self._client.disconnect()
        if self._connected:
            self._client.loop_stop()  # else its thread, a daemon, may be in a connect that takes seconds

    def alert(self, fields: Dict[str, Any]) -> None:
        if not self._publish("alert", json.dumps(fields), 1, False):
            self._dropped += 1
            self._say("{} alerts wait already; newer ones are dropped".format(_MOST_WAITING))

    def event(self, fields: Dict[str, Any]) -> None:
        self._publish("event", json.dumps(fields), 0, False)

    def lines(self) -> List[str]:
        """What a person should know of the connection since the last call."""
        found = []
        while self._lines:
            found.append(self._lines.popleft())
        return found

    def _publish(self, topic: str, text: str, qos: int, retain: bool) -> bool:
        """False: it was not taken."""
        info = self._client.publish("{}/{}".format(self._address.prefix, topic), text, qos, retain)
        waits = info.rc == paho.MQTT_ERR_NO_CONN and qos > 0
        if info.rc == paho.MQTT_ERR_SUCCESS or waits:
            self._sent += 1
            return True
        return False

    # -- in paho's thread ---------------------------------------------------------------------------------------------

    def _came(self, code: Any) -> None:
        """code: a number until paho 2, then an object that is compared with one."""
        if code == 0:
            self._connected = True
            self._publish("status", "online", 1, True)
            self._say("connected")
        else:
            self._say("refused: {}; {}".format(paho.connack_string(code).rstrip("."), _AGAIN))

    def _failed(self, error: Any) -> None:
        self._say("{}; {}".format(getattr(error, "strerror", None) or error or "not reached", _AGAIN))

    def _went(self) -> None:
        if self._connected:
            self._connected = False
            self._say("the connection was lost; " + _AGAIN)

    def _acknowledge(self) -> None:
        self._acknowledged += 1

    def _say(self, what: str) -> None:
        """Each thing once, however often it is tried."""
        if what != self._said:
            self._said = what
            self._lines.append("{}: {}".format(self._address.name, what))
