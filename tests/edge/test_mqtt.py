"""edge/alerts/mqtt.py with a real broker: told of alerts and events, away, back, refusing, or silent."""

import contextlib
import os
import re
import signal
import socket
import subprocess
import time

import pytest
from broker import MOSQUITTO, Listener, Mosquitto, free_port
from page_world import until
from tiny_board import command, stripes, tiny_board

from edge.contract.errors import UsageError

pytest.importorskip("paho.mqtt.client", reason="--mqtt needs paho-mqtt")

PASSWORD = "s3cret/p@ss"  # noqa: S105
with_broker = pytest.mark.skipif(MOSQUITTO is None, reason="mosquitto is not installed")


def _broker(address):
    from edge.alerts.mqtt import Broker, parse_broker

    return Broker(parse_broker(address))


@pytest.mark.parametrize(
    "text, expected",
    [
        ("mqtt://door", ("door", 1883, False, "", "", "edgewise/" + socket.gethostname())),
        ("mqtts://door", ("door", 8883, True, "", "", "edgewise/" + socket.gethostname())),
        ("mqtt://board:s3cret/p@ss@door:99/home/cam", ("door", 99, False, "board", PASSWORD, "home/cam")),
        ("mqtt://board:50%25@[::1]/a", ("::1", 1883, False, "board", "50%", "a")),
    ],
)
def test_what_a_broker_is_called(text, expected, tmp_path):
    from edge.alerts.mqtt import parse_broker

    assert tuple(parse_broker(text)) == expected
    path = str(tmp_path / "broker")
    with open(path, "w") as file:
        file.write(text + "\n")
    assert tuple(parse_broker("@" + path)) == expected


@pytest.mark.parametrize(
    "text", ["door", "http://door", "mqtt://", "mqtt://u:s3cret@door/#", "mqtt://u:s3cret@door:port", "mqtt://door/a b"]
)
def test_what_is_no_broker_is_refused_without_its_password(text):
    from edge.alerts.mqtt import parse_broker

    with pytest.raises(UsageError) as refused:
        parse_broker(text)
    assert "mqtt://" in str(refused.value) and "s3cret" not in str(refused.value)


@with_broker
def test_alerts_events_and_that_it_is_there_reach_a_real_broker(tmp_path):
    with Mosquitto(tmp_path) as mosquitto, Listener(mosquitto.port) as listener:
        with _broker("mqtt://127.0.0.1:{}/cam".format(mosquitto.port)) as broker:
            until(lambda: listener.of("cam/status") == ["online"])
            broker.alert({"id": 1, "label": "très bon"})
            broker.event({"kind": "seen"})
        until(lambda: len(listener.heard) == 4)
        assert broker.lines() == ["mqtt 127.0.0.1:{}: connected".format(mosquitto.port)]
        assert listener.of("cam/alert") == [{"id": 1, "label": "très bon"}] and listener.of("cam/event")
        assert listener.of("cam/status") == ["online", "offline"]
        with Listener(mosquitto.port) as later:
            until(lambda: ("cam/status", "offline", True) in later.heard)


@with_broker
def test_a_broker_that_is_away_is_one_line_and_the_alerts_wait_for_it(tmp_path):
    mosquitto = Mosquitto(tmp_path)
    name = "mqtt 127.0.0.1:{}: ".format(mosquitto.port)
    with _broker("mqtt://127.0.0.1:{}/cam".format(mosquitto.port)) as broker:
        time.sleep(1.5)  # more than one try
        assert broker.lines() == [name + "Connection refused; it is tried again after 1, 2, 4 ... 60 s"]
        for number in range(3):
            broker.alert({"id": number})
        with mosquitto, Listener(mosquitto.port) as listener:
            until(lambda: len(listener.of("cam/alert")) == 3, 20)
            assert broker.lines() == [name + "connected"]
        until(lambda: broker.lines() == [name + "the connection was lost; it is tried again after 1, 2, 4 ... 60 s"])
        broker.alert({"id": 3})
        with mosquitto, Listener(mosquitto.port) as listener:
            until(lambda: listener.of("cam/alert") == [{"id": 3}], 20)


@with_broker
def test_a_wrong_password_is_one_line_that_does_not_hold_it_and_the_right_one_is_let_in(tmp_path):
    with Mosquitto(tmp_path, PASSWORD) as mosquitto:
        with _broker("mqtt://board:wr0ng@127.0.0.1:{}".format(mosquitto.port)) as broker:
            time.sleep(2.5)  # more than one try
            (line,) = broker.lines()
        assert re.search("refused: .*not authori[sz]ed", line, re.IGNORECASE) and "wr0ng" not in line
        address = "mqtt://board:{}@127.0.0.1:{}/cam".format(PASSWORD, mosquitto.port)
        with Listener(mosquitto.port, "board", PASSWORD) as listener, _broker(address) as broker:
            broker.alert({"id": 1})
            until(lambda: listener.of("cam/alert") == [{"id": 1}])


def test_more_alerts_than_wait_are_dropped_and_that_is_said_once():
    with _broker("mqtt://127.0.0.1:{}".format(free_port())) as broker:
        for number in range(150):
            broker.alert({"id": number})
        until(lambda: len(broker.lines()) >= 1)
        assert sum("dropped" in line for line in broker.lines()) <= 1


def test_a_broker_that_accepts_and_says_nothing_keeps_nobody_waiting():
    with contextlib.closing(socket.socket()) as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen(5)
        with _broker("mqtt://127.0.0.1:{}".format(silent.getsockname()[1])) as broker:
            time.sleep(0.3)
            started = time.monotonic()
            for number in range(50):
                broker.alert({"id": number})
                broker.event({"id": number})
            assert time.monotonic() - started < 5
            assert broker.lines() == []


@with_broker
def test_a_run_alerts_through_a_broker_that_is_killed_and_comes_back_and_its_password_is_nowhere(tmp_path):
    import cv2

    root = tiny_board(str(tmp_path))
    frames = str(tmp_path / "frames")
    os.mkdir(frames)
    cv2.imwrite(os.path.join(frames, "0.png"), stripes(1, 9, True)[0])
    mosquitto = Mosquitto(tmp_path, PASSWORD)
    address = "mqtt://board:{}@127.0.0.1:{}/cam".format(PASSWORD, mosquitto.port)
    line, folder, environment = command(root, "run", frames, "test:64x64@20", "--alert", "cat", "--mqtt=" + address)
    process = subprocess.Popen(line, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    try:
        said = b""
        while b"Connection refused" not in said:
            said += process.stdout.readline()
        with open("/proc/{}/cmdline".format(process.pid), "rb") as file:
            assert b"s3cret" not in file.read()
        with mosquitto, Listener(mosquitto.port, "board", PASSWORD) as listener:
            until(lambda: listener.of("cam/alert"), 20)
            assert listener.of("cam/alert")[0]["label"] == "cat"
        process.send_signal(signal.SIGINT)
        said += process.stdout.read()  # not communicate(), which passes over what readline() read ahead
        process.wait(30)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 0 and b"frames" in said
    assert b"alert 1: cat" in said and b": connected" in said and b"s3cret" not in said


def test_without_paho_one_line_says_what_to_install(tmp_path):
    root = tiny_board(str(tmp_path))
    os.mkdir(str(tmp_path / "absent"))
    with open(str(tmp_path / "absent" / "paho.py"), "w") as file:
        file.write("raise ImportError('none')\n")
    line, folder, environment = command(root, "run", "test:64x64@20", "--mqtt", "mqtt://door")
    environment["PYTHONPATH"] = os.pathsep.join([str(tmp_path / "absent"), environment.get("PYTHONPATH", folder)])
    done = subprocess.run(line, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert done.returncode == 2 and done.stderr.count(b"\n") == 1 and b"pip install --user paho-mqtt" in done.stderr
