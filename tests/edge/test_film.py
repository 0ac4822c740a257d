"""A labelled film is there whole or not at all."""

import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge.contract.errors import InputError, UsageError
from edge.film import open_film

ROOT = Path(__file__).resolve().parents[2]


def grey(value, size=(64, 48)):
    return np.full((size[1], size[0], 3), value, np.uint8)


@pytest.mark.parametrize("name", ["a.mp4", "a.avi", "b.MP4"])
def test_a_film_is_read_back_as_it_was_written(tmp_path, name):
    path = str(tmp_path / name)
    with open_film(path, 15.0, (64, 48)) as film:
        for value in (10, 100, 200):
            film.write(grey(value))
        assert not Path(path).exists()
    assert [each.name for each in tmp_path.iterdir()] == [name]
    capture = cv2.VideoCapture(path)
    assert capture.get(cv2.CAP_PROP_FPS) == 15.0
    means = [capture.read()[1].mean() for _ in range(3)]
    assert means == pytest.approx([10, 100, 200], abs=4) and not capture.read()[0]
    capture.release()


def test_a_film_that_fails_leaves_nothing_and_spares_what_was_there(tmp_path):
    path = tmp_path / "a.mp4"
    path.write_bytes(b"the film before")
    with pytest.raises(ZeroDivisionError), open_film(str(path), 15.0, (64, 48)) as film:
        film.write(grey(10))
        raise ZeroDivisionError
    assert path.read_bytes() == b"the film before" and len(list(tmp_path.iterdir())) == 1


def test_a_film_of_no_frames_is_refused_and_leaves_nothing(tmp_path):
    film = open_film(str(tmp_path / "a.mp4"), 15.0, (64, 48))
    with pytest.raises(InputError, match="no frame"):
        film.close()
    assert list(tmp_path.iterdir()) == []


def test_a_frame_of_another_size_is_refused(tmp_path):
    with open_film(str(tmp_path / "a.avi"), 15.0, (64, 48)) as film:
        film.write(grey(1))
        with pytest.raises(InputError, match="uint8 \\(48, 64, 3\\)"):
            film.write(grey(1, (48, 64)))
    assert film.frames == 1


@pytest.mark.parametrize(
    "name, size", [("a.mkv", (64, 48)), ("a", (64, 48)), ("no/a.mp4", (64, 48)), ("a.mp4", (63, 48)), ("a.mp4", (0, 2))]
)
def test_a_film_that_cannot_be_is_refused_before_anything_is_written(tmp_path, name, size):
    with pytest.raises(UsageError):
        open_film(str(tmp_path / name), 15.0, size)
    assert list(tmp_path.iterdir()) == []


# In a process of its own: limits and OpenCV's choice of backends hold for a whole process.
WRITE_NOISE = """
import resource, sys
import numpy as np
from edge.contract.errors import BoardError
from edge.film import open_film
limit = int(sys.argv[2])
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))  # as a disk that fills up; Python ignores SIGXFSZ
noise = np.random.RandomState(0)
try:
    with open_film(sys.argv[1], 15.0, (64, 48)) as film:
        for _ in range(200):
            film.write(noise.randint(0, 256, (48, 64, 3)).astype(np.uint8))
except BoardError as error:
    print(error)
"""


def write_noise(path, limit_bytes, **environment):
    return subprocess.check_output(
        [sys.executable, "-c", WRITE_NOISE, str(path), str(limit_bytes)],
        cwd=str(ROOT),
        env=dict(os.environ, **environment),
        stderr=subprocess.DEVNULL,
    ).decode()


@pytest.mark.parametrize("name", ["a.mp4", "a.avi"])
def test_a_disk_that_fills_up_is_noticed_and_leaves_nothing(tmp_path, name):
    assert "of 200 frames reached" in write_noise(tmp_path / name, 20000)
    assert list(tmp_path.iterdir()) == []


def test_an_opencv_that_lacks_the_codec_is_said(tmp_path):
    said = write_noise(tmp_path / "a.mp4", 10**8, OPENCV_VIDEOIO_PRIORITY_FFMPEG="0")
    assert "this OpenCV cannot write .mp4 films with the codec mp4v" in said and "try the ending .avi" in said
    assert list(tmp_path.iterdir()) == []
