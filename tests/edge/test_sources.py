"""What a person names becomes frames, or one line that says why not."""

import contextlib
import threading
import wave
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge.contract.errors import InputError, SourceError
from edge.film import open_film
from edge.sources import Frame, Source, open_source

VIDEO = Path(__file__).resolve().parents[2].parent / "shared" / "data" / "video"
SIZE = (64, 48)


def make_film(path, count):
    noise = np.random.RandomState(0)
    with open_film(str(path), 12.0, SIZE) as film:
        for _ in range(count):
            film.write(noise.randint(0, 256, (SIZE[1], SIZE[0], 3)).astype(np.uint8))
    return str(path)


def read_by_hand(path):
    capture, images = cv2.VideoCapture(path), []
    while True:
        there, image = capture.read()
        if not there:
            capture.release()
            return images
        images.append(image)


def read_all(text):
    with open_source(text) as source:
        return list(iter(source.read, None)), source


def refusal(text, **arguments):
    with pytest.raises((InputError, SourceError)) as caught:
        open_source(text, **arguments)
    assert "\n" not in str(caught.value).replace(text, "")
    return caught.value


@pytest.mark.parametrize("name", ["a.mp4", "a.avi", "UPPER.AVI"])
def test_a_film_gives_the_frames_that_opencv_gives_in_order(tmp_path, name):
    path = make_film(tmp_path / name, 20)
    frames, source = read_all(path)
    assert [frame.sequence for frame in frames] == list(range(20))
    assert np.array_equal([frame.image for frame in frames], read_by_hand(path))
    assert {frame.name for frame in frames} == {name}
    assert (source.live, source.frames_per_second, source.remarks) == (False, 12.0, [])
    captured = [frame.captured_ns for frame in frames]
    assert captured == sorted(captured)


@pytest.mark.parametrize("name, count", [("bikes.mp4", 250), ("trash_camera.mp4", 920)])
def test_a_real_film_is_read_to_its_end_without_remark(name, count):
    if not (VIDEO / name).exists():
        pytest.skip("shared/data/video is not there")
    with open_source(str(VIDEO / name)) as source:
        assert sum(1 for _ in iter(source.read, None)) == count
    assert source.remarks == []


def test_a_film_cut_in_the_middle_ends_and_says_where(tmp_path):
    path = make_film(tmp_path / "cut.avi", 60)
    data = Path(path).read_bytes()
    Path(path).write_bytes(data[: len(data) * 6 // 10])
    frames, source = read_all(path)
    assert 20 < len(frames) < 60
    assert source.remarks == ["{} ended after {} of the 60 frames that it announces".format(path, len(frames))]


def test_a_film_without_its_index_is_refused(tmp_path):
    path = make_film(tmp_path / "cut.mp4", 60)
    data = Path(path).read_bytes()
    Path(path).write_bytes(data[: len(data) * 6 // 10])
    assert "does not open as a film" in str(refusal(path))


def test_a_film_that_ends_before_its_first_frame_is_refused(tmp_path):
    path = make_film(tmp_path / "cut.avi", 60)
    data = Path(path).read_bytes()
    Path(path).write_bytes(data[: data.index(b"movi") + 4])
    with pytest.raises(InputError) as caught:
        read_all(path)
    assert "cut.avi" in str(caught.value)


@pytest.mark.parametrize("name", ["junk.mp4", "empty.mp4", "notes.txt", "sound.wav", "no_ending"])
def test_a_file_that_is_no_film_is_refused(tmp_path, name):
    path = str(tmp_path / name)
    if name == "sound.wav":
        with wave.open(path, "wb") as sound:
            sound.setnchannels(1)
            sound.setsampwidth(2)
            sound.setframerate(8000)
            sound.writeframes(bytes(16000))
    else:
        Path(path).write_bytes(b"" if name == "empty.mp4" else b"these are words\n" * 500)
    assert "{} does not open as a film".format(path) in str(refusal(path))


@pytest.mark.parametrize("name", ["no.mp4", "-1", "0x1", "1\n", ""])
def test_what_is_not_there_is_refused(name):
    assert "there is no file or folder" in str(refusal(name))


def test_a_folder_is_read_by_name_and_what_cannot_be_read_is_named(tmp_path):
    for name, grey in (("b.png", 2), ("a.PNG", 1), ("c.bmp", 3)):
        assert cv2.imwrite(str(tmp_path / name), np.full((6, 8, 3), grey, np.uint8))
    (tmp_path / "aa.jpg").write_bytes(b"no picture")
    (tmp_path / "bb.png").write_bytes(b"")
    (tmp_path / "notes.txt").write_bytes(b"not meant to be one")
    (tmp_path / "folder.png").mkdir()
    frames, source = read_all(str(tmp_path))
    assert [(f.sequence, f.name, f.image[0, 0, 0]) for f in frames] == [
        (0, "a.PNG", 1),
        (1, "b.png", 2),
        (2, "c.bmp", 3),
    ]
    assert not source.live
    assert source.remarks == ["skipped 3 unreadable of 6 pictures: aa.jpg, bb.png, folder.png"]


def test_a_folder_that_is_closed_early_still_names_what_it_skipped(tmp_path):
    for index in range(7):
        (tmp_path / "{}.png".format(index)).write_bytes(b"no picture")
    for name in ("8.png", "9.png"):
        assert cv2.imwrite(str(tmp_path / name), np.zeros((6, 8, 3), np.uint8))
    with open_source(str(tmp_path)) as source:
        assert source.read().name == "8.png"
    assert source.remarks == ["skipped 7 unreadable of 9 pictures: 0.png, 1.png, 2.png, 3.png, 4.png and 2 more"]


def test_a_folder_without_a_readable_picture_is_refused(tmp_path):
    for _ in range(2):
        with pytest.raises(InputError) as caught:
            read_all(str(tmp_path))
        assert "holds no picture" in str(caught.value)
        (tmp_path / "a.png").write_bytes(b"no picture")


def test_a_single_picture_is_one_frame(tmp_path, monkeypatch):
    assert cv2.imwrite(str(tmp_path / "a.png"), np.full((6, 8, 3), 9, np.uint8))
    monkeypatch.chdir(tmp_path)
    for text in ("a.png", str(tmp_path / "a.png")):
        frames, _ = read_all(text)
        assert [(frame.sequence, frame.name) for frame in frames] == [(0, "a.png")]


@pytest.mark.parametrize("text", ["5", "/dev/video5", "005"])
def test_a_camera_that_is_not_there_is_refused_with_those_that_are(tmp_path, text):
    assert "a V4L2 camera; none is there" in str(refusal(text, devices=str(tmp_path)))
    (tmp_path / "video0").write_bytes(b"")
    (tmp_path / "video2").write_bytes(b"")
    error = refusal(text, devices=str(tmp_path))
    assert isinstance(error, SourceError)
    assert "video5" in error.found and error.expected == "one of {0}/video0, {0}/video2".format(tmp_path)


@pytest.mark.parametrize("fails", [False, True])
def test_a_source_closed_under_a_stuck_read_is_released_when_the_read_returns(fails):
    unstick, reading, released = threading.Event(), threading.Event(), threading.Event()

    def frames():
        reading.set()
        assert unstick.wait(60) and not released.is_set()
        if fails:
            raise SourceError("the camera went", "a frame", "plug it in")
        yield Frame(0, 0, np.zeros((2, 2, 3), np.uint8), "fake")

    def read():
        with contextlib.suppress(SourceError):
            source.read()

    source = Source(frames(), released.set, True)
    thread = threading.Thread(target=read)
    thread.start()
    assert reading.wait(60)
    source.close()
    assert not released.is_set()
    unstick.set()
    thread.join()
    assert released.is_set()


def test_a_closed_source_is_released_once_and_gives_no_frame():
    released = []
    source = Source(iter([Frame(0, 0, None, "fake")]), lambda: released.append(1), False)
    with source:
        pass
    source.close()
    assert source.read() is None and released == [1]
