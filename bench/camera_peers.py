"""The public tools' frame loops over a film, each with a network of its own, in an environment of its own."""

import json
import shlex
import subprocess
import sys
import sysconfig
import venv
from collections.abc import Callable
from pathlib import Path

_SCRIPTS = Path(__file__).with_name("peers")
_ROOT = Path(__file__).resolve().parents[1]
_TIME_LIMIT_S = 120


def peer_loops(film: Path, run: Path, environments: Path, progress: Callable[[int, int], None]) -> dict[str, str]:
    """What each peer's loop takes, in times of its own network alone, or its failing command.

    environments: a folder where a virtual environment is made for each that this one has not; what is there is kept.
    """
    peers: dict[str, tuple[str, list[str], list[str]]] = {
        "OpenCV's sample": ("opencv_loop.py", [str(run / "int8" / "model.float.onnx")], []),
        "Hugging Face pipeline": ("transformers_loop.py", [], ["transformers", "pillow"]),
        "Ultralytics": ("ultralytics_loop.py", [], ["ultralytics"]),
        "mediapipe": ("mediapipe_loop.py", [], ["mediapipe"]),
    }
    found = {}
    for step, (name, (script, words, packages)) in enumerate(peers.items()):
        python = environment(environments / script.partition("_")[0], packages) if packages else sys.executable
        found[name] = python if "failed" in python else _loop(python, script, [str(film), *words])
        progress(step + 1, len(peers))
    return found


def environment(folder: Path, packages: list[str]) -> str:
    """The Python of a virtual environment with `packages`, which also sees this one's; or the command that failed."""
    python = folder / "bin" / "python"
    if not python.exists():
        venv.create(folder, with_pip=True)
        site = next(folder.glob("lib/python*/site-packages"))
        (site / "beside.pth").write_text(f"{sysconfig.get_path('purelib')}\n{_ROOT}\n", "utf-8")
    command = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *packages]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return str(python) if done.returncode == 0 else _failed(["pip", "install", *packages], done.stderr)


def _loop(python: str, script: str, words: list[str]) -> str:
    command = [python, "-W", "ignore", str(_SCRIPTS / script), *words]
    shown = ["python", f"bench/peers/{script}", *(Path(word).name for word in words)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=_TIME_LIMIT_S)
    except subprocess.TimeoutExpired:
        return _failed(shown, f"took more than {_TIME_LIMIT_S} s")
    if done.returncode != 0:
        return _failed(shown, done.stderr)
    said = json.loads(done.stdout.splitlines()[-1])
    return (
        f"{said['loop_ms'] / said['raw_ms']:.2f} ({said['loop_ms']:.2f} ms; {said['network']} {said['raw_ms']:.2f} ms)"
    )


def _failed(command: list[str], said: str) -> str:
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    return f"failed: `{shlex.join(command)}`: {lines[-1][:200] if lines else 'no word'}"
