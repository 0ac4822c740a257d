"""edge/web/guard.py, password.py, address.py: who may reach the page, by which name, how often they may be wrong."""

import hashlib
import os

import pytest

from edge.contract.errors import BoardError, UsageError
from edge.web.address import may_be_named, parse_address
from edge.web.guard import SESSION_S, Guard
from edge.web.password import is_password, load_password, make_hash, save_password
from edge.web.request import Refused, Request

PASSWORD = "correct horse"  # noqa: S105
NAMES = ("localhost", "bench-2", "bench-2.local")


class Clock:
    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture(scope="module")
def kept():
    return make_hash(PASSWORD)


def _request(method="GET", host="192.168.1.9:8080", origin=None, session="", token="", scheme="http"):
    return Request(method, "/", host, origin, "192.168.1.20", session, token, "application/json", b"", scheme)


def _status(call, *arguments):
    with pytest.raises(Refused) as refused:
        call(*arguments)
    return refused.value.reply.status


@pytest.mark.parametrize(
    "text, host, port",
    [
        ("0.0.0.0:80", "0.0.0.0", 80),  # noqa: S104
        ("192.168.1.9", "192.168.1.9", 8080),
        (":9000", "127.0.0.1", 9000),
        ("[::1]:9000", "::1", 9000),
        ("board.local", "board.local", 8080),
    ],
)
def test_an_address_is_a_host_a_port_or_both(text, host, port):
    assert parse_address(text)[:] == (host, port)


@pytest.mark.parametrize("text", ["", "0", "/dev/video0", "a b", "host:99999", "http://host", "[::1", "host:"])
def test_what_is_no_address_is_wrong_use(text):
    with pytest.raises(UsageError):
        parse_address(text)


@pytest.mark.parametrize("text, loopback", [("127.0.0.1:1", True), ("127.9.9.9", True), ("[::1]:1", True)])
def test_loopback_is_known_in_every_form(text, loopback):
    assert parse_address(text).is_loopback is loopback
    assert not parse_address("0.0.0.0:80").is_loopback and not parse_address("[::]:80").is_loopback


@pytest.mark.parametrize("host", ["192.168.1.9", "192.168.1.9:8080", "[::1]:80", "LOCALHOST:80", "bench-2.local"])
def test_the_page_may_be_asked_for_by_address_and_by_its_own_names(host):
    assert may_be_named(host, NAMES)


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1.evil.example", "", "localhost,evil", "1.2.3", "local host"]
)
def test_another_name_that_resolves_here_is_refused(host):
    assert not may_be_named(host, NAMES)
    assert _status(Guard(None, NAMES).check_place, _request(host=host)) == 421


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://192.168.1.9", "https://192.168.1.9:8080"])
def test_what_another_page_asks_is_refused(origin):
    guard = Guard(None, NAMES)
    assert _status(guard.check_place, _request(origin=origin)) == 403
    guard.check_place(_request(origin="http://192.168.1.9:8080"))
    guard.check_place(_request(origin="https://192.168.1.9:8080", scheme="https"))


def test_without_a_password_reading_is_free_and_a_change_needs_the_token():
    guard = Guard(None, NAMES)
    guard.check_session(_request())
    assert _status(guard.check_session, _request("POST")) == 403
    assert _status(guard.check_session, _request("DELETE", token="é")) == 403  # noqa: S106
    guard.check_session(_request("POST", token=guard.token_of("")))


def test_with_a_password_nothing_goes_without_a_session_of_ones_own(kept):
    clock = Clock()
    guard = Guard(kept, NAMES, clock)
    assert _status(guard.check_session, _request()) == 401
    assert guard.token_of("") is None
    assert _status(guard.log_in, "a", "wrong") == 403
    one, other = guard.log_in("a", PASSWORD), guard.log_in("a", PASSWORD)
    guard.check_session(_request(session=one))
    assert _status(guard.check_session, _request("POST", session=one, token=guard.token_of(other))) == 403
    guard.check_session(_request("POST", session=one, token=guard.token_of(one)))
    guard.log_out(one)
    assert _status(guard.check_session, _request(session=one)) == 401
    guard.check_session(_request(session=other))
    clock.now += SESSION_S + 1
    assert _status(guard.check_session, _request(session=other)) == 401


def test_wrong_passwords_slow_their_sender_down_and_nobody_else(kept):
    clock = Clock()
    guard = Guard(kept, NAMES, clock)
    statuses = []
    for _ in range(8):
        statuses.append(_status(guard.log_in, "a", "wrong"))
    assert statuses == [403] * 5 + [429] * 3
    assert _status(guard.log_in, "a", PASSWORD) == 429
    guard.log_in("b", PASSWORD)
    for pause in (1, 2, 4):
        clock.now += pause
        assert _status(guard.log_in, "a", "wrong") == 403
        assert _status(guard.log_in, "a", "wrong") == 429
    clock.now += 8
    guard.log_in("a", PASSWORD)
    assert _status(guard.log_in, "a", "wrong") == 403


def test_thousands_of_addresses_do_not_fill_the_memory(kept):
    guard = Guard(dict(kept, n=2, r=1, p=1, rounds=1), NAMES, Clock())  # fast by either scheme, and none is right
    statuses = [_status(guard.log_in, str(each), "wrong") for each in range(1100)]
    assert statuses[:1005] == [403] * 1005 and set(statuses[1005:]) == {429}


def test_a_password_is_kept_as_a_hash_that_only_its_owners_group_reads(tmp_path, kept):
    path = str(tmp_path / "password")
    assert load_password(path) is None
    save_password(path, kept)
    assert os.stat(path).st_mode & 0o777 == 0o640
    with open(path, "rb") as file:
        assert PASSWORD.encode() not in file.read()
    assert is_password(PASSWORD, load_password(path)) and not is_password("Correct horse", load_password(path))
    os.chmod(path, 0o644)
    with pytest.raises(BoardError):
        load_password(path)


def test_where_openssl_has_no_scrypt_a_password_is_kept_by_pbkdf2(monkeypatch):
    monkeypatch.delattr(hashlib, "scrypt", raising=False)
    made = make_hash(PASSWORD)
    assert made["scheme"] == "pbkdf2"
    assert is_password(PASSWORD, made) and not is_password("wrong horse", made)


@pytest.mark.parametrize("content", [b"", b"{}", b'{"scheme": "md5", "salt": "00", "hash": "00"}', b"\xff", b"[1]"])
def test_a_malformed_password_file_lets_nobody_in(tmp_path, content):
    path = str(tmp_path / "password")
    with open(path, "wb") as file:
        file.write(content)
    os.chmod(path, 0o600)
    with pytest.raises(BoardError):
        load_password(path)


def test_a_short_password_is_refused():
    with pytest.raises(UsageError):
        make_hash("seven c")
