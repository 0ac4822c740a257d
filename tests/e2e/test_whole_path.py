"""Real handwriting in, a taught camera out, with the commands that a person types."""

import json
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge.contract.labels import parse_labels
from edge.contract.manifest import parse_manifest
from edge.engine import Engine
from edge.preprocess import prepare
from train.data import load_data
from train.demo.scenes import Scene, film, paper

ROOT = Path(__file__).resolve().parents[2]


def edgewise(*arguments: object, code: int = 0) -> list[dict]:
    """Runs the command with --json in a process of its own. Returns its lines of JSON."""
    command = [sys.executable, "-m", "edgewise", *map(str, arguments), "--json"]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.fixture(scope="module")
def digits() -> object:
    return load_data("digits", 0)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, digits: object) -> Path:
    """A folder with a run, its release, a flashed board and a film of paper digits."""
    folder = tmp_path_factory.mktemp("world")
    edgewise("train", "digits", "--out", folder / "run", "--epochs", "12")
    recipe = (ROOT / "quantize" / "recipes" / "small.yaml").read_text().replace("min_steps: 150", "min_steps: 30")
    (folder / "qat.yaml").write_text(recipe)
    edgewise("quantize", folder / "run", "--recipe", folder / "qat.yaml")
    edgewise("keygen", folder / "mine")
    edgewise("pack", folder / "run", "--key", folder / "mine.key", "--out", folder / "one.edge")
    edgewise("flash", folder / "one.edge", f"local:{folder / 'board'}", "--trust", folder / "mine.pub")
    rng = np.random.default_rng(0)
    scenes = [Scene(digits.labels[t], p[..., 0]) for p, t in list(zip(digits.test.pixels, digits.test.targets))[:6]]
    film(folder / "film.mp4", scenes, 8, 15.0, rng)
    for part, count in (("train", 40), ("test", 40)):
        pictures = getattr(digits, part)
        for i in range(count):
            label = digits.labels[pictures.targets[i]]
            path = folder / part / label / f"{i}.png" if part == "train" else folder / part / f"{label}-{i}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(path), paper(pictures.pixels[i, ..., 0], rng))
    return folder


def on_board(world: Path, *arguments: object, code: int = 0) -> list[dict]:
    return edgewise(*arguments, "--board", f"local:{world / 'board'}", code=code)


@pytest.mark.slow
def test_quantization_is_certified(world: Path) -> None:
    report = json.loads((world / "run" / "int8" / "report.json").read_text())
    assert report["ready"] is True
    assert report["exact"] == {"u8": True, "u8_pictures": report["test_count"], "s8_equals_u8_unoptimized": True}
    assert report["integer_layers"]["left_in_float"] == []
    assert report["accuracy"]["fp32"] > 90
    assert set(report["accuracy"]) == {"fp32", "qat", "u8", "s8", "s8_identity", "float"}


@pytest.mark.slow
def test_a_film_run_from_the_board_reads_frame_for_frame_what_the_onnx_file_reads_by_hand(world: Path) -> None:
    read = on_board(world, "run", world / "film.mp4", "--out", world / "labelled.mp4")
    release = (world / "board" / "current").resolve()
    spec = parse_manifest((release / "manifest.json").read_bytes()).model
    labels = parse_labels((release / "labels.txt").read_text())
    engine = Engine(str(world / "run" / "int8" / "model.u8.onnx"))
    capture, by_hand = cv2.VideoCapture(str(world / "film.mp4")), []
    while True:
        more, frame = capture.read()
        if not more:
            break
        by_hand.append(labels[engine.run(prepare(frame, spec)[None])[1][0].argmax()])
    assert len(by_hand) == 48
    assert [frame["label"] for frame in read] == by_hand
    assert [frame["sequence"] for frame in read] == list(range(48))
    assert cv2.VideoCapture(str(world / "labelled.mp4")).get(cv2.CAP_PROP_FRAME_COUNT) == 48


def accuracy(frames: list[dict]) -> float:
    return float(np.mean([f["name"].split("-")[0] == f["label"] for f in frames]))


@pytest.mark.slow
def test_lessons_cure_paper_add_a_class_and_are_taken_back_exactly(world: Path) -> None:
    def paper_read() -> list[dict]:
        return on_board(world, "run", world / "test")

    before = paper_read()
    (fitted,) = on_board(world, "fit", world / "train", "--labelled")
    assert fitted["changed"] and "inverted" in fitted["look"]
    assert accuracy(paper_read()) > max(0.85, accuracy(before) + 0.3)

    # A class that the release never saw: a star, drawn; and one correction of a known class.
    for i in range(6):
        star = np.full((240, 320, 3), 205, np.uint8)
        for angle in np.linspace(0, np.pi, 4)[:3] + 0.1 * i:
            d = (90 * np.array([np.cos(angle), np.sin(angle)])).astype(int)
            cv2.line(star, tuple(map(int, [160, 120] - d)), tuple(map(int, [160, 120] + d)), (50, 50, 50), 22)
        (world / "stars").mkdir(exist_ok=True)
        cv2.imwrite(str(world / "stars" / f"{i}.png"), star)
    (taught,) = on_board(world, "teach", "--label", "star ☆", world / "stars")
    assert taught["new_class"] is True
    assert taught["verdict"]["before"] - taught["verdict"]["after"] <= 0.05
    (row, *_) = on_board(world, "run", world / "stars")
    assert row["label"] == "star ☆"

    on_board(world, "forget", "--last")
    on_board(world, "forget", "--look")
    assert [f["top"] for f in paper_read()] == [f["top"] for f in before]
    (rest,) = on_board(world, "learned")
    assert rest["examples"] == []


@pytest.mark.slow
def test_a_second_release_replaces_the_first_and_rolls_back(world: Path) -> None:
    board = f"local:{world / 'board'}"
    (first,) = edgewise("status", board)
    edgewise("pack", world / "run", "--key", world / "mine.key", "--out", world / "two.edge", "--version", "2")
    (flashed,) = edgewise("flash", world / "two.edge", board)
    assert flashed["state"] == "GOOD"
    assert flashed["objects_sent"] == 0  # all but the manifest is on the board already
    (back,) = edgewise("rollback", board)
    assert back["release"] == first["current"]


@pytest.mark.slow
def test_a_tampered_or_truncated_release_is_refused_and_the_board_stays(world: Path) -> None:
    board = f"local:{world / 'board'}"
    (before,) = edgewise("status", board)
    content = bytearray((world / "one.edge").read_bytes())
    middle = len(content) // 2  # more than one byte: a single one may be of the zip's headers, which nobody signs
    content[middle : middle + 64] = bytes(byte ^ 1 for byte in content[middle : middle + 64])
    (world / "bad.edge").write_bytes(content)
    (world / "short.edge").write_bytes(content[:5000])
    for bad in ("bad.edge", "short.edge"):
        (refused,) = edgewise("flash", world / bad, f"local:{world / 'other'}", "--trust", world / "mine.pub", code=1)
        assert refused["error"]["kind"] in ("TrustError", "FormatError")
    assert not (world / "other" / "current").exists()
    assert edgewise("status", board) == [before]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("train", "nowhere", "--out", "{}/x"), 1, "no data set"),
        (("train", "digits", "--out", "{}/run"), 2, "in use"),
        (("quantize", "{}/nothing"), 1, "nothing"),
        (("pack", "{}/train", "--key", "{}/mine.key"), 1, "int8"),
        (("flash", "{}/none.edge", "local:{}/board2", "--trust", "{}/mine.pub"), 1, "none.edge"),
        (("flash", "{}/one.edge", "local:{}/board2"), 2, "--trust"),
        (("flash", "{}/one.edge", "ssh:board"), 2, "local:DIR"),
        (("run", "{}/none.mp4", "--board", "local:{}/board"), 1, "none.mp4"),
        (("run", "{}/one.edge", "--board", "local:{}/board"), 1, "one.edge"),
        (("run", "7", "--board", "local:{}/board"), 1, "camera"),
        (("run", "{}/film.mp4", "--show", "--board", "local:{}/board"), 2, "display"),
        (("run", "{}/film.mp4", "--board", "local:{}/nothing"), 1, "no release"),
        (("teach", "--label", "a/b", "{}/stars", "--board", "local:{}/board"), 2, "label"),
        (("teach", "--label", "a", "{}/mine.pub", "--board", "local:{}/board"), 1, "mine.pub"),
        (("forget", "--id", "999", "--board", "local:{}/board"), 1, "999"),
    ],
)
def test_bad_input_gets_one_clear_line_and_the_right_exit_code(
    world: Path, arguments: tuple[str, ...], code: int, said: str
) -> None:
    (world / "stars").mkdir(exist_ok=True)
    cv2.imwrite(str(world / "stars" / "0.png"), np.zeros((40, 40, 3), np.uint8))
    filled = [argument.format(world) for argument in arguments]
    command = [sys.executable, "-m", "edgewise", *filled]
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(world)}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    lines = done.stderr.splitlines()
    assert (done.returncode, len(lines)) == (code, 1), done.stderr
    assert said in lines[0]


@pytest.mark.slow
def test_a_label_in_any_script_is_taught_on_a_board_without_a_locale(world: Path) -> None:
    cv2.imwrite(str(world / "été.png"), np.full((64, 64, 3), 90, np.uint8))
    launcher = [str(world / "board" / "edgewise"), "teach", "--label", "猫", str(world / "été.png"), "--json"]
    environment = {"PATH": "/usr/bin:/bin", "EDGEWISE_PYTHON": sys.executable}
    done = subprocess.run(launcher, env=environment, capture_output=True, check=True)
    assert json.loads(done.stdout)["label"] == "猫"
    on_board(world, "forget", "--label", "猫")
