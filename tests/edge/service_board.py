"""A board with the tiny release and its golden vectors, and a folder of pictures that stands in for its camera."""

import os
import sys
import time

import cv2
from release_maker import new_board
from tiny_board import FILES, stripes, tiny_release

from edge.install import install


def service_board(folder):
    """The root of the board."""
    board = new_board(os.path.join(folder, "board"))
    install(board, release(folder, 1), lambda folder: None)
    return board


def release(folder, counter, changes=()):
    with open(os.path.join(FILES, "tiny.golden.npz"), "rb") as file:
        golden = file.read()
    path = os.path.join(folder, "{}.edge".format(counter))
    return tiny_release(path, counter, dict(changes, **{"golden.npz": golden}))


def camera_folder(path, images=None):
    """Pictures of upright stripes, or others. As a camera it shows two a second, again and again."""
    os.makedirs(path)
    for index, image in enumerate(stripes(5, 5, True) if images is None else images):
        assert cv2.imwrite(os.path.join(path, "{}.png".format(index)), image)
    return path


def wait_for(holds, seconds=60):
    """Until holds() is true; fails after `seconds`, which only a broken test reaches."""
    give_up = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < give_up
        time.sleep(0.05)


def environment(**more):
    return dict({"PATH": os.environ["PATH"], "OMP_NUM_THREADS": "1", "EDGEWISE_PYTHON": sys.executable}, **more)
