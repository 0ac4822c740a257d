"""A real MQTT broker for the tests, Debian's mosquitto, that can be ended and started again; and who listens to it."""

import contextlib
import getpass
import json
import os
import shutil
import socket
import subprocess
import threading
import time

MOSQUITTO = shutil.which("mosquitto", path=os.environ.get("PATH", "") + ":/usr/sbin")


def free_port():
    with contextlib.closing(socket.socket()) as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


class Mosquitto:
    """Use it with `with`; it is running then."""

    def __init__(self, folder, password=None):
        self.port = free_port()
        self._configuration = os.path.join(str(folder), "mosquitto.conf")
        lines = ["listener {} 127.0.0.1".format(self.port), "user " + getpass.getuser()]  # else root becomes another
        lines.append("allow_anonymous {}".format(str(password is None).lower()))
        if password is not None:
            passwords = os.path.join(str(folder), "passwords")
            tool = os.path.join(os.path.dirname(MOSQUITTO).replace("sbin", "bin"), "mosquitto_passwd")
            subprocess.run([tool, "-b", "-c", passwords, "board", password], check=True)
            lines.append("password_file " + passwords)
        with open(self._configuration, "w") as file:
            file.write("\n".join(lines) + "\n")

    def __enter__(self):
        self._process = subprocess.Popen([MOSQUITTO, "-c", self._configuration], stderr=subprocess.DEVNULL)
        ends = time.monotonic() + 10
        while time.monotonic() < ends:
            with contextlib.closing(socket.socket()) as tried:
                if tried.connect_ex(("127.0.0.1", self.port)) == 0:
                    return self
            time.sleep(0.02)
        raise OSError("mosquitto does not listen")

    def __exit__(self, *_):
        self._process.kill()
        self._process.wait()


class Listener:
    """Everything that is published, as (topic, object or text, retained)."""

    def __init__(self, port, user=None, password=None):
        import paho.mqtt.client as paho

        version = getattr(paho, "CallbackAPIVersion", None)
        self.heard = []
        self._subscribed = threading.Event()
        self._client = paho.Client(version.VERSION2) if version else paho.Client()
        self._client.on_connect = lambda client, *_: client.subscribe("#", 1)
        self._client.on_subscribe = lambda *_: self._subscribed.set()
        self._client.on_message = lambda client, data, message: self._hear(message)
        if user:
            self._client.username_pw_set(user, password)
        self._client.connect("127.0.0.1", port)

    def __enter__(self):
        self._client.loop_start()
        assert self._subscribed.wait(10)
        return self

    def __exit__(self, *_):
        self._client.disconnect()
        self._client.loop_stop()

    def of(self, topic):
        return [said for name, said, _ in list(self.heard) if name == topic]

    def _hear(self, message):
        text = message.payload.decode("utf-8")
        said = json.loads(text) if text.startswith("{") else text
        self.heard.append((message.topic, said, bool(message.retain)))
