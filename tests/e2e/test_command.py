"""The commands themselves: which verbs and flags there are, what they print, and what the wheel holds."""

import argparse
import ast
import inspect
import json
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import edgewise
from edge.command_line import make_parser

ROOT = Path(__file__).resolve().parents[2]

RECIPE = [
    *("network", "pretrained", "frozen_share", "frozen_norms", "height", "width", "epochs", "min_steps", "batch"),
    *(
        "optimizer",
        "learning_rate",
        "momentum",
        "weight_decay",
        "warmup",
        "label_smoothing",
        "linear_probe",
        "shrink",
        "ema_share",
        "seed",
        "amp",
        "layer_decay",
        "patience",
    ),
    *("mixup", "cutmix", "degrees", "translate", "scale", "crop", "shear", "brightness", "contrast", "saturation"),
    *("flip", "invert"),
]
DESK = {
    "check": ["data", "out"],
    "train": ["data", "out", "recipe", "size", "resume", "device", "pieces", "profile", "compiled", *RECIPE],
    "compare": ["runs", "out"],
    "import": ["network", "out", "weights", "labels", "size"],
    "quantize": [
        "run",
        "ptq",
        "qat",
        "pictures",
        "data",
        "recipe",
        "deeper",
        "split_outliers",
        "split_only",
        "sensitivity",
        "seed",
    ],
    "verify": ["path", "data", "key", "deep"],
    "keygen": ["name", "replaces"],
    "rotate": ["rotation", "target"],
    "pack": ["run", "key", "out", "name", "version", "for_board", "counter"],
    "flash": ["archive", "bootstrap", "wheels", "targets", "trust", "set_aside", "yes"],
    "status": ["target"],
    "rollback": ["target"],
    "service": ["target", "source", "remove", "web", "tls", "keep_pictures", "collect"],
    "logs": ["target", "follow", "lines"],
    "doctor": ["target"],
    "accept": ["target", "source", "key", "seconds", "minutes", "out"],
    "bench": ["name", "runs", "data", "only", "quick", "out", "python36"],
    "demo": ["out", "seed"],
}
BOARD = {
    "run": [
        "source",
        "--out",
        "--show",
        "--no-look",
        "--false-alarms",
        "--teach",
        "--notice",
        "--keep-pictures",
        "--person",
        "--web",
        "--tls",
        "--collect",
        "--metrics",
        "--alert",
        "--alert-pictures",
        "--mqtt",
        "--engine",
        "--min-score",
        "--smooth",
        "--max-fps",
        "--skip-still",
        "--threads",
        "--profile",
    ],
    "collect": ["source", "--label", "--out", "--all", "--show"],
    "engines": ["--again", "--use", "--set-aside"],
    "timing": ["release", "engines"],
    "soak": ["source", "--seconds"],
    "teach": ["pictures", "--label", "--keep-pictures", "--person"],
    "fit": ["pictures", "--labelled"],
    "forget": ["--last", "--label", "--person", "--id", "--look", "--deeper", "--noticed", "--everything"],
    "alerts": ["--wanted", "--unwanted", "--undo", "--out"],
    "learned": ["part"],
    "learned list": ["--person"],
    "learned show": ["id", "--out"],
    "learned undo": ["lesson"],
    "learned deepen": [],
    "learned noticed": ["--out"],
    "learned confirm": ["ids", "--label", "--person"],
    "learned export": ["file"],
    "learned import": ["file"],
    "learned check": [],
    "receive": ["folder", "--set-aside"],
    "install": ["archive", "--set-aside"],
    "golden": ["release", "--engine"],
    "frames": ["release", "source"],
    "status": [],
    "rollback": [],
    "recover": [],
    "rotate": ["rotation"],
    "serve": ["source", "--web", "--tls", "--keep-pictures", "--collect"],
    "supervise": ["source", "--web", "--tls", "--keep-pictures", "--collect"],
    "service": ["--remove", "source", "--web", "--tls", "--keep-pictures", "--collect"],
    "logs": ["--follow", "--lines"],
    "completion": [],
    "doctor": [],
}


def test_the_desks_verbs_and_flags_are_these() -> None:
    found = {}
    for name, verb in edgewise.DESK.items():
        parameters = inspect.signature(edgewise.load(verb.target)).parameters
        found[name] = sorted(p for p in parameters if p not in ("progress", "ask", "command"))
    assert found == {name: sorted(flags) for name, flags in DESK.items()}


def _subparsers(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    found = [a.choices for a in parser._actions if isinstance(a, argparse._SubParsersAction)]
    return dict(found[0]) if found else {}


def test_the_boards_verbs_and_flags_are_these() -> None:
    found = {}
    for name, parser in _subparsers(make_parser()).items():
        for part, its in {"": parser, **_subparsers(parser)}.items():
            actions = [a for a in its._actions if a.dest not in ("help", "json", "debug")]
            found[f"{name} {part}".strip()] = sorted((a.option_strings or [a.dest])[0] for a in actions)
    assert found == {name: sorted(flags) for name, flags in BOARD.items()}
    assert set(edgewise.BOARD) <= set(found)


def _run(*arguments: str) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "edgewise", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_help_lists_every_verb_without_importing_a_room() -> None:
    done = _run("--help")
    assert done.returncode == 0
    for verb in (*DESK, *edgewise.BOARD):
        assert verb in done.stdout
    loaded = subprocess.check_output(
        [sys.executable, "-c", "import sys, edgewise; edgewise.build_app('keygen'); print(sorted(sys.modules))"],
        cwd=ROOT,
        text=True,
    )
    assert not {"torch", "cv2", "onnxruntime", "train", "quantize"} & set(ast.literal_eval(loaded))


@pytest.mark.parametrize(
    "verb", ["keygen", "rotate", "pack", "flash", "status", "rollback", "service", "logs", "doctor", "accept"]
)
def test_every_verb_of_the_desk_has_help_with_an_example(verb: str) -> None:
    done = _run(verb, "--help")
    assert done.returncode == 0
    assert f"edgewise {verb}" in done.stdout and "Example" in done.stdout


def test_an_unknown_verb_or_flag_is_wrong_use() -> None:
    assert _run("fly").returncode == 2
    assert _run("keygen", "--colour", "red").returncode == 2


def test_json_is_one_object_on_stdout_also_for_an_error(tmp_path: Path) -> None:
    made = _run("keygen", str(tmp_path / "mine"), "--json")
    assert set(json.loads(made.stdout)) == {"key", "public", "key_id", "rotation"}
    refused = _run("keygen", str(tmp_path / "mine"), "--json")
    assert refused.returncode == 2
    assert set(json.loads(refused.stdout)["error"]) == {"kind", "found", "expected", "remedy"}
    assert len(refused.stderr.splitlines()) == 1


def test_a_traceback_is_shown_only_when_asked_for(tmp_path: Path) -> None:
    arguments = ("pack", str(tmp_path), "--key", str(tmp_path / "none.key"))
    assert "Traceback" not in _run(*arguments).stderr
    assert "Traceback" in _run(*arguments, "--debug").stderr


@pytest.mark.slow
@pytest.mark.network
def test_the_wheel_holds_the_rooms_and_the_command_and_nothing_else(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "-w", str(tmp_path), str(ROOT)]
    subprocess.run(command, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert {n.split("/")[0] for n in names if ".dist-info" not in n} == {
        "bench", "edge", "train", "quantize", "deploy", "edgewise.py",
    }  # fmt: skip
    assert {"train/recipes/small.yaml", "quantize/recipes/photos.yaml", "train/page.html"} <= set(names)
