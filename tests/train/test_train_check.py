"""`edgewise check`: what is broken, there twice, in two parts or under the wrong label is found, and nothing else."""

import io
import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from edgewise import main
from train.check.findings import Findings, look_through
from train.check.report import render, summary
from train.check.survey import Seen
from train.check.suspects import suspects
from train.check.twins import MOST_BITS, groups
from train.data import open_data

Picture = np.ndarray


def scene(seed: int, blue: bool) -> Picture:
    """(60, 80, 3): stripes on blue or discs on red."""
    random = np.random.default_rng(seed)
    picture = np.full((60, 80, 3), (200, 90, 20) if blue else (20, 40, 200), np.uint8)
    for _ in range(6):
        at, size = int(random.integers(80)), int(random.integers(3, 12))
        if blue:
            cv2.line(picture, (at, 0), (at, 60), (240, 240, int(random.integers(256))), size)
        else:
            cv2.circle(picture, (at, int(random.integers(60))), 2 * size, (20, 240, int(random.integers(256))), -1)
    return picture


def jpeg(picture: Picture, quality: int = 95) -> bytes:
    return bytes(cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality])[1])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """train/ with 12 scenes a class and test/ with 3, no two alike."""
    for part, count, first in (("train", 12, 0), ("test", 3, 100)):
        for blue in (False, True):
            label = tmp_path / "data" / part / ("blue" if blue else "red")
            label.mkdir(parents=True)
            for i in range(count):
                (label / f"{i:02}.jpg").write_bytes(jpeg(scene(first + 2 * i + blue, blue)))
    return tmp_path / "data"


def look(folder: Path) -> Findings:
    with open_data(str(folder)) as raw:
        return look_through(raw, lambda *_: None)


def names(found_groups: tuple[tuple[Seen, ...], ...]) -> list[list[str]]:
    return [[seen.name for seen in group] for group in found_groups]


def test_sound_pictures_have_no_finding(folder):
    found = look(folder)
    assert summary(found) == ["30 pictures of 2 classes"]
    assert not (found.survey.broken or found.copies or found.leaks or found.contradictions or found.suspects)


def test_broken_files_are_named_with_what_is_wrong(folder):
    whole = (folder / "train/red/00.jpg").read_bytes()
    contents = {"a": b"", "b": whole[: len(whole) // 2], "c": whole[:-40], "d": b"<html>", "e": bytes(500)}
    for name, content in contents.items():
        (folder / f"train/red/{name}.jpg").write_bytes(content)
    found = look(folder)
    assert [name for name, _ in found.survey.broken] == [f"train/red/{name}.jpg" for name in contents]
    assert all(why for _, why in found.survey.broken)
    assert len(found.survey.pictures) == 30


def test_a_copy_is_found_however_it_was_saved(folder):
    picture = cv2.imread(str(folder / "train/blue/03.jpg"))
    smaller = cv2.resize(picture, None, fx=0.7, fy=0.7, interpolation=cv2.INTER_AREA)
    (folder / "train/blue/copy.png").write_bytes(bytes(cv2.imencode(".png", picture)[1]))
    (folder / "train/blue/coarse.jpg").write_bytes(jpeg(picture, 60))
    (folder / "train/blue/small.jpg").write_bytes(jpeg(smaller))
    expected = ["train/blue/03.jpg", "train/blue/coarse.jpg", "train/blue/copy.png", "train/blue/small.jpg"]
    assert names(look(folder).copies) == [expected]


def test_a_copy_in_another_part_is_a_leak_and_one_of_another_label_a_contradiction(folder):
    content = (folder / "train/blue/03.jpg").read_bytes()
    (folder / "test/blue/leaked.jpg").write_bytes(content)
    (folder / "train/red/wrong.jpg").write_bytes((folder / "train/blue/05.jpg").read_bytes())
    found = look(folder)
    assert names(found.leaks) == [["train/blue/03.jpg", "test/blue/leaked.jpg"]]
    assert names(found.contradictions) == [["train/blue/05.jpg", "train/red/wrong.jpg"]]
    assert not found.copies


def test_a_label_that_the_other_pictures_contradict_comes_first(folder):
    (folder / "train/red/moved.jpg").write_bytes(jpeg(scene(901, blue=True)))
    found = look(folder)
    first = found.suspects[0]
    assert found.survey.pictures[first.picture].name == "train/red/moved.jpg"
    assert found.labels[first.likeliest] == "blue"


def test_a_picture_that_only_its_exif_tag_sets_upright_is_named(folder):
    content = io.BytesIO()
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(scene(77, blue=False)[..., ::-1]).save(content, "JPEG", exif=exif)
    (folder / "train/red/turned.jpg").write_bytes(content.getvalue())
    assert look(folder).survey.turned == ("train/red/turned.jpg",)


@pytest.mark.parametrize("most", [5000, 60])
def test_a_picture_that_lies_on_its_side_is_found_with_the_turn_that_sets_it_upright(tmp_path, monkeypatch, most):
    """Discs above lines, as a landscape has its sky above; the other class has no upright."""
    for label, upright, count in (("view", True, 112), ("plain", False, 8)):
        (tmp_path / "data" / label).mkdir(parents=True)
        for i in range(count):
            sky, ground = scene(2 * i, blue=False), scene(2 * i + 1, blue=True)
            picture = np.concatenate([sky[:40], ground[:40]]) if upright else np.full((80, 80, 3), 9 * i, np.uint8)
            if upright and i in (2, 8):
                picture = np.rot90(picture, {2: 1, 8: 3}[i])
            (tmp_path / "data" / label / f"{i:03}.jpg").write_bytes(jpeg(np.ascontiguousarray(picture)))
    monkeypatch.setattr("train.check.findings._MOST_VIEWED", most)
    found = look(tmp_path / "data")
    turned = {found.survey.pictures[each.picture].name: each.turn for each in found.sideways}
    assert turned == {"view/002.jpg": 90, "view/008.jpg": 270}


def test_a_class_of_one_picture_is_thin_and_stops_nothing(folder):
    (folder / "train/green").mkdir()
    (folder / "train/green/0.jpg").write_bytes(jpeg(scene(500, blue=False)[..., ::-1]))
    found = look(folder)
    assert found.thin == ("green",)
    assert found.unevenness == 12


def test_arrays_are_looked_through_as_files_are(tmp_path):
    pixels = np.stack([scene(seed, blue=seed % 2 == 1) for seed in range(24)])
    pixels[5] = pixels[3]
    targets = np.arange(24) % 2
    np.savez(tmp_path / "data.npz", x_train=pixels, y_train=targets, x_test=pixels[:2] // 2, y_test=targets[:2])
    found = look(tmp_path / "data.npz")
    assert len(found.survey.pictures) == 26
    assert [[seen.index for seen in group] for group in found.copies] == [[3, 5]]


def test_the_page_shows_what_was_found_and_needs_nothing_from_elsewhere(folder):
    (folder / "train/red/<b>.jpg").write_bytes((folder / "train/red/01.jpg").read_bytes())
    with open_data(str(folder)) as raw:
        text = render(look_through(raw, lambda *_: None), raw)
    assert "train/red/&lt;b&gt;.jpg" in text and "<b>" not in text
    assert text.count("<img") == 2
    assert "http" not in text and "<script" not in text


def test_the_verb_writes_the_page_and_changes_no_picture(folder, tmp_path, capsys):
    (folder / "train/red/bad.jpg").write_bytes(b"")
    before = {path: path.read_bytes() for path in folder.rglob("*.jpg")}
    with pytest.raises(SystemExit) as ended:
        main(["check", str(folder), "--out", str(tmp_path / "look.html"), "--json"])
    assert ended.value.code == 0
    found = json.loads(capsys.readouterr().out)
    assert found["broken"] == [{"name": "train/red/bad.jpg", "why": "it is empty"}]
    assert found["counts"]["train"] == {"blue": 12, "red": 12}
    assert "train/red/bad.jpg" in (tmp_path / "look.html").read_text("utf-8")
    assert {path: path.read_bytes() for path in folder.rglob("*.jpg")} == before


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(0, (1 << 64) - 1), min_size=1, max_size=6), st.randoms(use_true_random=False))
def test_every_pair_of_hashes_that_differ_in_a_few_bits_is_grouped(hashes, random):
    plain = np.random.default_rng(0).integers(0, 256, (16, 16), np.uint8)
    near = [each ^ sum(1 << bit for bit in random.sample(range(64), MOST_BITS)) for each in hashes]
    seen = [Seen(str(i), "train", 0, i, bytes([i]), each, plain) for i, each in enumerate(hashes + near)]
    found = groups(seen)
    for i in range(len(hashes)):
        assert any({i, i + len(hashes)} <= set(group) for group in found)


def test_suspects_of_separate_classes_are_the_flipped_ones():
    random = np.random.default_rng(0)
    targets = np.repeat([0, 1, 2], 40)
    features = np.eye(3, 8, dtype=np.float32)[targets] * 3 + random.random((120, 8)).astype(np.float32)
    flipped = targets.copy()
    flipped[[5, 50, 99]] = [1, 2, 0]
    found = suspects(features, flipped)
    assert {each.picture for each in found[:3]} == {5, 50, 99}
    assert {each.picture: each.likeliest for each in found[:3]} == {5: 0, 50: 1, 99: 2}
