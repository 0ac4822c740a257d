"""Collecting from the page: what is held lies in a folder that training reads, is listed, removed and downloaded."""

import contextlib
import http.client
import io
import os
import shutil
import zipfile

import cv2
import numpy as np
import pytest
from page_world import page_world, until

from edge.contract.errors import BoardError, InputError
from edge.sources import Frame
from edge.web.collecting import Collecting
from edge.web.zip_stream import zip_pieces

pytest.importorskip("tornado", reason="the page needs Tornado")


@pytest.fixture
def world(tmp_path):
    with page_world(tmp_path) as made:
        made[0].enter()
        yield made[0], made[1], tmp_path / "collected"


def _hold(client, label, pictures):
    status, _, held = client.ask("POST", "/api/collected/hold", {"label": label})
    assert status == 201 and held["label"] == label
    until(lambda: client.ask("GET", "/api/now")[2]["collecting"]["pictures"] >= pictures)
    status, _, done = client.ask("DELETE", "/api/collected/hold")
    assert status == 200 and client.ask("GET", "/api/now")[2]["collecting"] is None
    return done


def test_what_is_held_lies_in_its_labels_folder_and_is_listed_with_small_pictures(world):
    client, _, folder = world
    before = client.ask("GET", "/api/now")[2]["changes"]["collected"]
    done = _hold(client, "très bon", 3)
    names = sorted(os.listdir(str(folder / "très bon")))
    assert len(done["ids"]) == len(names) >= 3 and done["stopped"] == ""
    listed = client.ask("GET", "/api/collected")[2]
    assert listed == done["collected"] and listed["labels"] == [{"label": "très bon", "pictures": len(names)}]
    assert sorted(each["name"] for each in listed["pictures"]) == names
    assert [each["id"] for each in listed["pictures"]] == sorted(done["ids"], reverse=True)
    assert client.ask("GET", "/api/now")[2]["changes"]["collected"] > before
    status, headers, picture = client.ask("GET", "/api/collected/{}/picture".format(done["ids"][0]))
    assert status == 200 and headers["Content-Type"] == "image/jpeg" and picture.startswith(b"\xff\xd8")
    assert cv2.imread(str(folder / "très bon" / names[0])).shape == (20, 20, 3)


def test_a_hold_is_taken_back_as_one_and_a_cross_removes_one(world):
    client, _, folder = world
    first, second = _hold(client, "cup", 2), _hold(client, "cup", 2)
    status, _, left = client.ask("DELETE", "/api/collected/newest")
    assert status == 200 and left["removed"] == second["ids"] and left["total"] == len(first["ids"])
    assert client.ask("DELETE", "/api/collected/newest")[0] == 409
    one = "/api/collected/{}".format(first["ids"][0])
    assert client.ask("DELETE", one)[2]["removed"] == [first["ids"][0]]
    assert client.ask("DELETE", one)[0] == client.ask("GET", one + "/picture")[0] == 404
    assert len(os.listdir(str(folder / "cup"))) == len(first["ids"]) - 1


def test_all_of_it_comes_as_one_zip_of_the_same_files(world):
    client, _, folder = world
    _hold(client, "cup", 2)
    _hold(client, "Stift 2", 2)
    status, headers, data = client.ask("GET", "/api/collected.zip")
    assert status == 200 and "attachment" in headers["Content-Disposition"]
    there = {}
    for label in os.listdir(str(folder)):
        for name in os.listdir(str(folder / label)):
            there[label + "/" + name] = (folder / label / name).read_bytes()
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert archive.testzip() is None
        assert {name: archive.read(name) for name in archive.namelist()} == there
    assert client.ask("HEAD", "/api/collected.zip")[::2] == (200, b"")


def test_what_was_collected_before_counts_and_foreign_files_are_not_touched(tmp_path):
    scene = np.kron(np.random.RandomState(1).randint(0, 256, (6, 8, 3)), np.ones((10, 10, 1))).astype(np.uint8)
    for label in ("cup", ".hidden"):
        (tmp_path / label).mkdir()
        cv2.imwrite(str(tmp_path / label / "a.png"), scene)
    (tmp_path / "cup" / "notes.txt").write_bytes(b"mine")
    (tmp_path / "cup" / "cut.png").write_bytes(b"\x89PNG")
    its = Collecting(str(tmp_path), lambda: Frame(7, 0, scene, "camera"))
    assert [each["name"] for each in its.fields()["pictures"]] == ["cut.png", "a.png"]
    its.begin("cup")
    until(lambda: its.hold_fields()["alike"] == 1)
    assert its.end()["ids"] == []


@pytest.mark.parametrize("label", ["", "a/b", "..", "../up", "\\", "\n", "x" * 65, "a\u202eb", ".hidden", "__MACOSX"])
def test_a_label_that_cannot_be_a_folder_of_training_pictures_is_refused_in_one_sentence(world, label):
    client, _, folder = world
    status, _, answer = client.ask("POST", "/api/collected/hold", {"label": label})
    assert status == 400 and set(answer["error"]) == {"kind", "found", "expected", "remedy"}
    assert os.listdir(str(folder)) == []


def test_a_label_too_long_for_the_disk_is_said_while_it_is_held_and_at_its_end(world):
    client = world[0]
    assert client.ask("POST", "/api/collected/hold", {"label": "\U0001f64b" * 64})[0] == 201
    until(lambda: client.ask("GET", "/api/now")[2]["collecting"]["stopped"])
    done = client.ask("DELETE", "/api/collected/hold")[2]
    assert done["ids"] == [] and "too long" in done["stopped"]


def test_one_person_collects_at_a_time_and_nothing_is_ended_or_taken_back_that_was_not_begun(world):
    client = world[0]
    assert client.ask("DELETE", "/api/collected/hold")[0] == client.ask("DELETE", "/api/collected/newest")[0] == 409
    assert client.ask("POST", "/api/collected/hold", {"label": "cup"})[0] == 201
    assert client.ask("POST", "/api/collected/hold", {"label": "pen"})[0] == 409
    assert client.ask("DELETE", "/api/collected/hold")[0] == 200


@pytest.mark.parametrize(
    "path", ["1%2f..%2f2", "-1", "cup%2f19700101-000000-000000.png", "99999999999", "..%2f..%2flearned.sqlite"]
)
def test_no_path_names_a_file_of_the_collection(world, path):
    assert world[0].ask("DELETE", "/api/collected/" + path)[0] == 404
    assert world[0].ask("GET", "/api/collected/{}/picture".format(path))[0] == 404


def test_what_changes_something_needs_the_token(world):
    client = world[0]
    for method, path in (("POST", "hold"), ("DELETE", "hold"), ("DELETE", "newest"), ("DELETE", "1")):
        fields = {"label": "cup"} if method == "POST" else None
        assert client.ask(method, "/api/collected/" + path, fields, X_CSRF_Token=None)[0] == 403


@pytest.mark.parametrize(
    "limits, found", [({"least_free_bytes": 1 << 62}, "MB left"), ({"most": 0}, "pictures are in")]
)
def test_without_room_nothing_is_taken_and_the_answer_says_why(tmp_path, limits, found):
    with page_world(tmp_path, collecting=dict(limits, folder=str(tmp_path / "data"))) as (client, _):
        client.enter()
        status, _, answer = client.ask("POST", "/api/collected/hold", {"label": "cup"})
        assert status == 409 and found in answer["error"]["found"]


def test_a_hold_stops_at_the_most_pictures(tmp_path):
    with page_world(tmp_path, collecting={"folder": str(tmp_path / "data"), "most": 2}) as (client, _):
        client.enter()
        client.ask("POST", "/api/collected/hold", {"label": "cup"})
        until(lambda: client.ask("GET", "/api/now")[2]["collecting"]["stopped"])
        done = client.ask("DELETE", "/api/collected/hold")[2]
        assert len(done["ids"]) == 2 and "fewer than 2" in done["stopped"]


def test_a_disk_that_fails_while_a_button_is_held_is_a_line_and_what_was_taken_stays(world):
    client, camera, folder = world
    kept = _hold(client, "pen", 1)
    client.ask("POST", "/api/collected/hold", {"label": "cup"})
    until(lambda: client.ask("GET", "/api/now")[2]["collecting"]["pictures"] >= 1)
    until(lambda: _turned_into_a_file(folder / "cup"))
    until(lambda: client.ask("GET", "/api/now")[2]["collecting"]["stopped"])
    done = client.ask("DELETE", "/api/collected/hold")[2]
    assert "room for a picture" in done["stopped"] and done["collected"]["total"] >= len(kept["ids"])
    before = camera.frames
    until(lambda: camera.frames > before)


def _turned_into_a_file(place):
    """Whether it could be: a picture may be on its way into it."""
    with contextlib.suppress(OSError):
        shutil.rmtree(str(place))
        place.write_bytes(b"")
        return True


def test_a_lost_camera_lets_nothing_be_collected(tmp_path):
    its = Collecting(str(tmp_path), lambda: None)
    with pytest.raises(BoardError):
        its.begin("cup")


def test_a_folder_that_cannot_be_written_is_said_at_the_start(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(InputError):
        Collecting(str(tmp_path / "file"), lambda: None)


def test_a_zip_with_a_file_that_cannot_be_read_is_cut_off_so_that_nobody_takes_it_for_whole(world):
    client, _, folder = world
    done = _hold(client, "cup", 2)
    place = folder / "cup" / done["collected"]["pictures"][0]["name"]
    place.unlink()
    place.mkdir()
    with pytest.raises(http.client.IncompleteRead):
        client.ask("GET", "/api/collected.zip")
    assert client.ask("GET", "/api/collected")[0] == 200


def test_who_goes_in_the_middle_of_a_download_leaves_the_page_as_it_was(tmp_path, caplog):
    (tmp_path / "data" / "big").mkdir(parents=True)
    (tmp_path / "data" / "big" / "a.png").write_bytes(os.urandom(8 << 20))
    with page_world(tmp_path, collecting={"folder": str(tmp_path / "data")}) as (client, camera):
        client.enter()
        connection = http.client.HTTPConnection(client.host, client.port, timeout=20)
        connection.request("GET", "/api/collected.zip")
        assert connection.getresponse().read(100).startswith(b"PK")
        connection.close()
        before = camera.frames
        until(lambda: camera.frames > before)
        assert client.ask("GET", "/api/collected")[2]["total"] == 1
    assert not [each for each in caplog.records if each.levelname == "ERROR"]


def test_a_file_that_has_gone_is_left_out_of_the_zip(tmp_path):
    (tmp_path / "a").write_bytes(b"a" * 100000)
    data = b"".join(zip_pieces([("gone", str(tmp_path / "gone")), ("cup/a", str(tmp_path / "a"))]))
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert archive.namelist() == ["cup/a"] and archive.read("cup/a") == b"a" * 100000
