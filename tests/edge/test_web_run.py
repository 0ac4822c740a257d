"""`run --web` as a command: where it listens, whom it asks for a password, TLS, and the way back to another release."""

import contextlib
import datetime
import http.client
import json
import os
import pty
import re
import signal
import socket
import ssl
import stat
import subprocess
import urllib.request

import pytest
from page_client import PageClient
from page_world import until
from service_board import environment, release, service_board
from tiny_board import command, on_board, tiny_board

from edge.install import install
from edge.web.password import is_password, load_password, make_hash, save_password

pytest.importorskip("tornado", reason="the page needs Tornado")

PASSWORD = "correct horse"  # noqa: S105


@pytest.fixture
def root(tmp_path):
    return tiny_board(str(tmp_path))


@contextlib.contextmanager
def _running(root, *arguments, **more):
    """(process, port) of `run --web` once it says where the page is. terminal: where the password is typed if asked."""
    line, folder, its = command(root, "run", "test:64x64@20", *arguments)
    terminal = more.pop("terminal", None)
    process = subprocess.Popen(line, cwd=folder, env=its, stdout=subprocess.PIPE, **more)
    try:
        for question in (b"A new password", b"The same again") if terminal else ():
            asked = b""
            while question not in asked:  # typed before, it would be thrown away
                asked += os.read(terminal, 1024)
            os.write(terminal, PASSWORD.encode() + b"\n")
        said = process.stdout.readline().decode()
        found = re.search(r"the page is at (https?)://[^ ]*:([0-9]+)/", said)
        assert found, said
        yield process, int(found.group(2))
        process.send_signal(signal.SIGINT)
        rest = process.stdout.read().decode()  # not communicate(), which passes over what readline() read ahead
        process.wait(30)
        assert process.returncode == 0 and "frames" in rest
    finally:
        process.kill()
        process.wait()


def _refused(root, *arguments, **more):
    line, folder, its = command(root, "run", "test:64x64@20", *arguments)
    its.update(more)
    done = subprocess.run(
        line, cwd=folder, env=its, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert len(done.stderr.splitlines()) == 1
    return done.returncode, done.stderr.decode()


def test_by_default_only_this_machine_reaches_the_page_and_no_password_is_asked_for(root):
    with _running(root, "--web", "127.0.0.1:0") as (_, port):
        client = PageClient(port)
        assert client.enter() == 201
        until(lambda: client.ask("GET", "/api/now")[2]["state"]["name"] == "live")


def test_pictures_are_collected_only_by_a_run_that_was_asked_to(root, tmp_path):
    with _running(root, "--web", "127.0.0.1:0") as (_, port):
        client = PageClient(port)
        client.enter()
        assert client.ask("GET", "/api/now")[2]["changes"]["collected"] is None
        assert client.ask("GET", "/api/collected")[0] == 404
    with _running(root, "--web", "127.0.0.1:0", "--collect", tmp_path / "data") as (_, port):
        client = PageClient(port)
        client.enter()
        until(lambda: client.ask("POST", "/api/collected/hold", {"label": "cup"})[0] == 201)
        until(lambda: client.ask("GET", "/api/now")[2]["collecting"]["pictures"] > 0)
    assert os.listdir(str(tmp_path / "data" / "cup"))  # also of a hold that the end of the run cut short


def test_where_others_could_reach_it_nothing_starts_without_a_password(root):
    code, line = _refused(root, "--web", "0.0.0.0:0")
    assert code == 2 and "no password" in line


def test_a_password_typed_twice_in_the_terminal_is_kept_as_a_hash_and_then_asked_for_no_more(root):
    leader, follower = pty.openpty()
    own = {"stdin": follower, "stderr": follower, "start_new_session": True}
    try:
        with _running(root, "--web", "0.0.0.0:0", terminal=leader, **own) as (_, port):
            client = PageClient(port)
            assert client.enter("wrong horse") == 403 and client.enter(PASSWORD) == 201
    finally:
        os.close(leader)
        os.close(follower)
    kept = load_password(os.path.join(root, "personal", "page-password"))
    assert is_password(PASSWORD, kept)
    with _running(root, "--web", "0.0.0.0:0", stdin=subprocess.DEVNULL) as (_, port):
        assert PageClient(port).enter(PASSWORD) == 201


def _certificate(path):
    """A PEM file with a certificate for 127.0.0.1 that it signed itself, and its key."""
    from cryptography import x509
    from cryptography.hazmat.backends import default_backend
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1(), default_backend())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "board")])
    begin = datetime.datetime(2020, 1, 1)
    made = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    made = made.serial_number(1).not_valid_before(begin).not_valid_after(begin + datetime.timedelta(days=20000))
    signed = made.sign(key, hashes.SHA256(), default_backend())
    form = (serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    with open(path, "wb") as file:
        file.write(signed.public_bytes(serialization.Encoding.PEM))
        file.write(key.private_bytes(serialization.Encoding.PEM, *form))


def test_with_a_certificate_the_page_is_served_over_tls(root, tmp_path):
    _certificate(str(tmp_path / "board.pem"))
    with _running(root, "--web", "127.0.0.1:0", "--tls", tmp_path / "board.pem") as (_, port):
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        with urllib.request.urlopen("https://127.0.0.1:{}/api/session".format(port), context=context) as reply:  # noqa: S310
            assert json.loads(reply.read().decode())["open"]


@pytest.mark.parametrize(
    "arguments, found",
    [
        (("--web", "127.0.0.1:0", "--tls", "/none.pem"), "/none.pem"),
        (("--web", "192.0.2.7"), "no password"),
        (("--web", "0"), "the address '0'"),
        (("--web", "--show"), "--web with --show"),
        (("--web", "--teach", "cup"), "--web with --teach"),
        (("--tls", "board.pem"), "--tls without --web"),
        (("--metrics",), "--metrics without --web"),
        (("--collect", "data"), "--collect without --web"),
        (("--web", "127.0.0.1:0", "--collect", "/dev/null/data"), "/dev/null/data"),
    ],
)
def test_wrong_use_is_one_line(root, arguments, found):
    code, line = _refused(root, *arguments)
    assert code in (1, 2) and found in line


@pytest.mark.parametrize("package, flags", [("tornado", ("--web",)), ("prometheus_client", ("--web", "--metrics"))])
def test_without_the_package_that_an_option_needs_one_line_says_what_to_install(root, tmp_path, package, flags):
    with open(str(tmp_path / (package + ".py")), "w") as file:
        file.write("raise ImportError('none')\n")
    runtime = os.path.join(os.path.realpath(os.path.join(root, "current")), "runtime")
    code, line = _refused(root, *flags, PYTHONPATH=os.pathsep.join([str(tmp_path), runtime]))
    assert code == 2 and "pip install" in line and package in line


def test_a_scraper_reads_what_the_loop_counted_with_the_token_that_lies_on_the_board(root):
    pytest.importorskip("prometheus_client", reason="--metrics needs prometheus_client")
    personal = os.path.join(root, "personal")
    os.makedirs(personal, exist_ok=True)
    save_password(os.path.join(personal, "page-password"), make_hash(PASSWORD))
    with _running(root, "--web", "0.0.0.0:0", "--metrics", stdin=subprocess.DEVNULL) as (_, port):
        client = PageClient(port)
        assert client.ask("GET", "/metrics")[0] == 401
        with open(os.path.join(personal, "metrics-token")) as file:
            bearer = "Bearer " + file.read().strip()
        assert stat.S_IMODE(os.stat(os.path.join(personal, "metrics-token")).st_mode) == 0o640
        frames = 'edgewise_frames_total{source="test:64x64@20"} '
        until(lambda: frames in client.ask("GET", "/metrics", Authorization=bearer)[2].decode())
        assert client.ask("GET", "/api/now", Authorization=bearer)[0] == 401  # the token is for nothing else


def test_going_back_on_the_page_starts_the_release_before_and_the_page_is_there_again(tmp_path):
    board = service_board(str(tmp_path))
    second = release(str(tmp_path), 2, {"report.json": b"another"})
    install(board, second, lambda release: None)
    with contextlib.closing(socket.socket()) as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    line = [board.path("edgewise"), "run", "test:64x64@20", "--web", "127.0.0.1:{}".format(port)]
    process = subprocess.Popen(line, env=environment(LC_ALL="C.UTF-8"), stdout=subprocess.PIPE)
    try:
        process.stdout.readline()
        client = PageClient(port)
        client.enter()
        before = client.ask("GET", "/api/releases")[2]
        status, _, after = client.ask("POST", "/api/rollback")
        assert status == 200 and after["current"] == before["previous"] != before["running"]

        def runs():
            with contextlib.suppress(OSError, http.client.HTTPException):
                return client.ask("GET", "/api/releases")[2].get("running") == before["previous"]

        until(runs, 30)
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0
    finally:
        process.kill()
        process.wait()
    assert on_board(board.root, "status")[1]["current"] == before["previous"]
