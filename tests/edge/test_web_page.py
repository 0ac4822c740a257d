"""edge/web as a browser meets it: watched, taught, undone, and refused to who may not."""

import http.client
import threading
import time

import pytest
from glyph_world import KNOWN
from page_client import PageClient
from page_world import page_world, until

from edge.contract.results import SourceState
from edge.web.password import make_hash
from edge.web.routes import described

pytest.importorskip("tornado", reason="the page needs Tornado")

PASSWORD = "correct horse"  # noqa: S105
KEPT = make_hash(PASSWORD)


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    with page_world(tmp_path_factory.mktemp("open")) as made:
        made[0].enter()
        yield made


@pytest.fixture(scope="module")
def locked(tmp_path_factory):
    with page_world(tmp_path_factory.mktemp("locked"), KEPT) as made:
        yield made


def _hold(client, camera, label, pictures):
    assert client.ask("POST", "/api/hold", {"label": label})[0] == 201
    until(lambda: client.ask("GET", "/api/now")[2]["hold"]["pictures"] >= pictures)
    status, _, lesson = client.ask("POST", "/api/lessons")
    assert status == 201
    return lesson


def test_the_page_and_its_files_are_served_with_the_headers_that_guard_it(world):
    for path in ("/", "/page.css", "/page.js", "/icon.svg", "/api/openapi.json"):
        status, headers, body = world[0].ask("GET", path)
        assert status == 200 and body
        assert "default-src 'none'" in headers["Content-Security-Policy"]
        assert headers["X-Content-Type-Options"] == "nosniff" and headers["Cache-Control"] == "no-store"
    assert "unsafe" not in headers["Content-Security-Policy"] and "Tornado" not in str(headers)


def test_the_page_fetches_nothing_from_elsewhere_and_has_no_script_or_style_of_its_own(world):
    text = b"".join(world[0].ask("GET", path)[2] for path in ("/", "/page.css", "/page.js"))
    assert b"http" + b"://" not in text and b"https" + b"://" not in text
    html = world[0].ask("GET", "/")[2]
    assert b"style=" not in html and b"onclick" not in html and html.count(b"<script") == 1


def test_the_table_of_routes_and_the_openapi_file_agree(world):
    routes = [(route.method, route.path) for route in world[0].site.routes] + [("GET", "/api/live")]
    assert sorted(routes) == described()


def test_a_viewer_gets_the_result_and_the_picture_of_the_newest_frame(world):
    viewer = world[0].watch()
    assert viewer.status == 101
    now, jpeg = viewer.next(), viewer.next()
    assert now["state"]["name"] == "live" and now["result"]["label"] in KNOWN and now["temperature_c"] == 41.5
    assert len(now["result"]["top"]) == 5 and now["frames_per_second"] > 0
    assert jpeg.startswith(b"\xff\xd8")
    seen = now["result"]["sequence"]
    until(lambda: world[1].frames > seen + 20)
    said = [each for each in (viewer.next() for _ in range(8)) if isinstance(each, dict)]
    sequences = [each["result"]["sequence"] for each in said]
    viewer.close()
    assert sequences == sorted(sequences) and sequences[0] > seen


def test_a_viewer_that_draws_nothing_gets_nothing_more_and_holds_nobody_up(world):
    slow, fast = world[0].watch(), world[0].watch()
    before = world[1].frames
    got = [fast.next() for _ in range(12)]
    assert len(got) == 12 and world[1].frames > before
    slow.close()
    fast.close()


def test_a_picture_is_compressed_once_for_all_viewers(world, monkeypatch):
    from edge.web import scene

    compressed, lock = [], threading.Lock()
    small_jpeg = scene.small_jpeg

    def counted(image, *more):
        with lock:
            compressed.append(id(image))
        return small_jpeg(image, *more)

    monkeypatch.setattr(scene, "small_jpeg", counted)
    viewers = [world[0].watch() for _ in range(10)]
    for _ in range(3):
        for viewer in viewers:
            viewer.next(), viewer.next()
    for viewer in viewers:
        viewer.close()
    assert 1 <= len(compressed) <= 15  # of 30 pictures sent; the first may have been compressed before


def test_a_held_label_is_taught_as_one_lesson_and_undone_as_one(world):
    client, camera = world
    camera.letter = "Z"
    lesson = _hold(client, camera, "Z", 8)
    assert lesson["new_class"] and len(lesson["ids"]) >= 8
    assert {each["lesson"] for each in lesson["learned"]["examples"]} == {1}
    assert lesson["learned"]["verdict"]["classes"][0]["label"] == "Z"
    until(lambda: client.ask("GET", "/api/now")[2]["result"]["label"] == "Z")
    assert client.ask("GET", "/api/now")[2]["changes"]["learned"] >= 1
    status, headers, picture = client.ask("GET", "/api/examples/{}/picture".format(lesson["ids"][0]))
    assert status == 200 and picture.startswith(b"\xff\xd8") and headers["Content-Type"] == "image/jpeg"

    status, _, undone = client.ask("DELETE", "/api/lessons/newest")
    assert status == 200 and undone["ids"] == lesson["ids"] and undone["learned"]["total"] == 0
    assert client.ask("GET", "/api/examples/{}/picture".format(lesson["ids"][0]))[0] == 404
    assert client.ask("DELETE", "/api/lessons/newest")[0] == 409
    camera.letter = "A"


def test_a_cross_takes_one_example_away_and_a_label_all_of_its(world):
    client, camera = world
    lesson = _hold(client, camera, "très bon/"[:-1], 3)
    one = lesson["ids"][1]
    status, _, left = client.ask("DELETE", "/api/examples/{}".format(one))
    assert status == 200 and left["ids"] == [one] and left["learned"]["total"] == len(lesson["ids"]) - 1
    assert client.ask("DELETE", "/api/examples/{}".format(one))[0] == 404
    assert client.ask("DELETE", "/api/labels/tr%C3%A8s%20bon")[2]["learned"]["total"] == 0
    assert client.ask("DELETE", "/api/labels/tr%C3%A8s%20bon")[0] == 404


def test_a_hold_is_one_persons_at_a_time_and_can_be_dropped(world):
    client, _ = world
    assert client.ask("POST", "/api/hold", {"label": "cup"})[0] == 201
    assert client.ask("POST", "/api/hold", {"label": "pen"})[0] == 409
    assert client.ask("DELETE", "/api/hold")[0] == 204
    assert client.ask("POST", "/api/lessons")[0] == 409
    assert client.ask("GET", "/api/learned")[2]["total"] == 0


@pytest.mark.parametrize("label", ["", "a/b", "\n", "x" * 65, "a\u202eb", "."])
def test_an_impossible_label_is_refused_in_one_sentence(world, label):
    status, _, answer = world[0].ask("POST", "/api/hold", {"label": label})
    assert status == 400 and set(answer["error"]) == {"kind", "found", "expected", "remedy"}


def test_a_lost_camera_is_a_state_nothing_is_taught_meanwhile_and_the_rest_works(world):
    client, camera = world
    viewer = client.watch()
    camera.away = SourceState("0", "lost", "the camera 0 stopped", 1)
    until(lambda: client.ask("GET", "/api/now")[2]["state"]["name"] == "lost")
    said = [viewer.next() for _ in range(5)]
    assert any(isinstance(each, dict) and "stopped" in each["state"]["line"] for each in said)
    assert client.ask("POST", "/api/hold", {"label": "cup"})[0] == 409
    assert client.ask("GET", "/api/learned")[0] == 200
    camera.away = None
    until(lambda: client.ask("GET", "/api/now")[2]["state"]["name"] == "live")
    viewer.close()
    events = client.ask("GET", "/api/events")[2]["events"]
    assert [each["kind"] for each in events if each["kind"] != "seen"][:3] == ["live", "lost", "live"]


def test_an_answer_that_lasts_is_an_event_with_a_picture(world):
    client, _ = world
    until(lambda: any(each["kind"] == "seen" for each in client.ask("GET", "/api/events")[2]["events"]))
    event = next(each for each in client.ask("GET", "/api/events")[2]["events"] if each["kind"] == "seen")
    assert event["score"] > 0 and abs(event["at_s"] - time.time()) < 120
    assert client.ask("GET", "/api/events/{}/picture".format(event["id"]))[2].startswith(b"\xff\xd8")
    assert client.ask("GET", "/api/events/999999/picture")[0] == 404


def test_an_alert_is_listed_with_its_picture_marked_and_unmarked_again(tmp_path):
    with page_world(tmp_path, rules=["C"]) as (client, camera):
        client.enter()
        assert client.ask("GET", "/api/alerts")[2] == {"rules": ["C"], "alerts": []}
        camera.letter = "C"
        until(lambda: client.ask("GET", "/api/now")[2]["changes"]["alerts"] >= 1)
        alert = client.ask("GET", "/api/alerts")[2]["alerts"][-1]
        assert alert["label"] == "C" and alert["how"] == "rule" and alert["wanted"] is None
        picture = "/api/alerts/{}/picture".format(alert["id"])
        assert client.ask("GET", picture)[2].startswith(b"\xff\xd8")
        mark = "/api/alerts/{}/mark".format(alert["id"])
        assert client.ask("POST", mark, {"wanted": False}, X_CSRF_Token=None)[0] == 403
        assert client.ask("POST", mark, {"wanted": 1})[0] == 400
        assert client.ask("POST", mark, {"wanted": False})[2]["alerts"][-1]["wanted"] is False
        assert client.ask("DELETE", "/api/marks/newest")[2]["alerts"][-1]["wanted"] is None
        assert client.ask("DELETE", "/api/marks/newest")[0] == 409
        assert client.ask("POST", "/api/alerts/999/mark", {"wanted": True})[0] == 404
        status, _, missed = client.ask("POST", "/api/alerts")
        assert status == 201 and missed["alerts"][0]["how"] == "missed" and missed["alerts"][0]["wanted"]


def test_releases_are_listed_and_the_way_back_needs_the_token(world):
    client, _ = world
    assert client.ask("GET", "/api/releases")[2]["current"] == "one"
    assert client.ask("POST", "/api/rollback", X_CSRF_Token=None)[0] == 403
    assert client.ask("POST", "/api/rollback")[0] == 200


def test_without_a_session_a_locked_page_gives_its_files_and_nothing_else(locked):
    stranger = PageClient(locked[0].port)
    for route in locked[0].site.routes:
        path = route.path.replace("{id}", "1").replace("{label}", "cup")
        status = stranger.ask(route.method, path, {} if route.method == "POST" else None)[0]
        assert (status in (200, 400)) if route.is_open else status == 401, path
    assert stranger.watch().status == 401
    assert stranger.ask("GET", "/api/session")[2] == {"open": False, "wants_password": True, "token": None}


def test_the_right_password_opens_a_session_that_logging_out_ends_also_for_who_watches(locked):
    client = PageClient(locked[0].port)
    assert client.enter("wrong horse") == 403
    assert client.enter(PASSWORD) == 201
    cookie = client.ask("POST", "/api/session", {"password": PASSWORD})[1]["Set-Cookie"]
    assert "HttpOnly" in cookie and "SameSite=Strict" in cookie and "Secure" not in cookie
    viewer = client.watch()
    assert viewer.next()["state"]["name"] == "live"
    assert client.ask("DELETE", "/api/session")[0] == 204
    while viewer.next() is not None:
        pass
    assert client.ask("GET", "/api/now")[0] == 401


@pytest.mark.parametrize(
    "headers, status",
    [
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Host": "evil.example"}, 421),
        ({"Host": "evil.example:80", "Origin": "http://evil.example:80"}, 421),
    ],
)
def test_what_another_site_has_a_browser_send_is_refused_the_websocket_too(world, headers, status):
    client, _ = world
    assert client.ask("POST", "/api/hold", {"label": "cup"}, **headers)[0] == status
    assert client.ask("GET", "/api/session", **headers)[0] == status
    assert client.watch(**headers).status == status


def test_a_form_of_another_site_cannot_look_like_the_page(world):
    client, _ = world
    assert client.ask("POST", "/api/hold", {"label": "cup"}, X_CSRF_Token=None)[0] == 403
    assert client.ask("POST", "/api/hold", {"label": "cup"}, Content_Type="text/plain")[0] == 415


@pytest.mark.parametrize(
    "path",
    [
        "/../../etc/passwd",
        "/..%2f..%2fetc/passwd",
        "/%2e%2e/%2e%2e/etc/passwd",
        "/files/index.html",
        "//etc/passwd",
        "/page.js/../server.py",
        "/page.js%00",
        "/api/examples/1%2f..%2f2/picture",
        "/api/examples/-1/picture",
        "/api/examples/99999999999999999999/picture",
        "/\\..\\..\\etc\\passwd",
    ],
)
def test_tricks_with_paths_find_nothing(world, path):
    assert world[0].ask("GET", path)[0] == 404


def test_a_wrong_method_is_told_the_right_ones(world):
    status, headers, _ = world[0].ask("PUT", "/api/hold", {"label": "cup"})
    assert status == 405 and headers["Allow"] == "DELETE, POST"
    assert world[0].ask("GET", "/api/live")[0] == 426


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"label": 1}', b'{"label": "a", "more": 1}', b"\xff\xfe"])
def test_a_body_that_is_not_what_is_asked_for_is_refused(world, body):
    client, _ = world
    connection = http.client.HTTPConnection("127.0.0.1", client.port, timeout=20)
    headers = {"X-CSRF-Token": client.token, "Content-Type": "application/json"}
    connection.request("POST", "/api/hold", body, headers)
    assert connection.getresponse().status == 400
    connection.close()


def test_ten_megabytes_of_headers_or_body_are_cut_off_and_the_loop_goes_on(world):
    client, camera = world
    before = camera.frames
    host = "Host: 127.0.0.1:{}\r\n".format(client.port).encode()
    for data in (
        b"GET / HTTP/1.1\r\n" + host + b"X: " + b"a" * (10 << 20),
        b"GET /" + b"a" * (10 << 20),
        b"POST /api/hold HTTP/1.1\r\n" + host + b"Content-Length: 10485760\r\n\r\n" + b"a" * (10 << 20),
        b"POST /api/hold HTTP/1.1\r\n"
        + host
        + b"Transfer-Encoding: chunked\r\n\r\n"
        + b"a00000\r\n"
        + b"a" * (10 << 20),
    ):
        assert b" 200 " not in client.raw(data)
    assert client.ask("GET", "/api/now")[0] == 200
    assert camera.frames > before


def test_half_requests_are_hung_up_on_and_more_connections_than_there_is_room_for_are_not_taken(tmp_path, monkeypatch):
    import socket

    from edge.web import server

    monkeypatch.setattr(server, "_PATIENCE_S", 0.5)
    monkeypatch.setattr(server, "MOST_CONNECTIONS", 30)
    with page_world(tmp_path) as (client, camera):
        loris = [socket.create_connection(("127.0.0.1", client.port), timeout=10) for _ in range(40)]
        for each in loris[:30]:
            each.sendall(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Slow: ")
        before = camera.frames
        assert all(each.recv(100) == b"" for each in loris)
        until(lambda: client.ask("GET", "/")[0] == 200)
        assert camera.frames > before
        for each in loris:
            each.close()


def test_more_viewers_than_there_is_room_for_are_told_so(world, monkeypatch):
    from edge.web import server

    monkeypatch.setattr(server, "MOST_VIEWERS", 2)
    until(lambda: world[0].ask("GET", "/api/now")[0] == 200)
    viewers = [world[0].watch() for _ in range(2)]
    assert world[0].watch().status == 503
    for viewer in viewers:
        viewer.close()
