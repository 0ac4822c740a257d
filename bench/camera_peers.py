"""The public tools' frame loops over a film, each with a network of its own, in an environment of its own."""

import json
import shlex
import subprocess
import sys
import sysconfig
import venv
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bench.peer import Failure

_SCRIPTS = Path(__file__).with_name("peers")
_ROOT = Path(__file__).resolve().parents[1]
_TIME_LIMIT_S = 240


@dataclass(frozen=True)
class PeerLoop:
    """Milliseconds a frame of a peer's whole loop, and of its network alone."""

    loop_ms: float
    raw_ms: float
    network: str

    def __str__(self) -> str:
        return f"{self.loop_ms:.1f} ms ({self.loop_ms / self.raw_ms:.2f} times {self.network}, {self.raw_ms:.1f} ms)"


def peer_loops(
    film: Path, run: Path, environments: Path, progress: Callable[[int, int], None]
) -> dict[str, PeerLoop | Failure]:
    """What each peer's loop takes, or its failing command.

    environments: a folder where a virtual environment is made for each that this one has not; what is there is kept.
    """
    peers: dict[str, tuple[str, list[str], list[str]]] = {
        "OpenCV's sample": ("opencv_loop.py", [str(run / "int8" / "model.float.onnx")], []),
        "Hugging Face pipeline": ("transformers_loop.py", [], ["transformers", "pillow"]),
        "Ultralytics": ("ultralytics_loop.py", [], ["ultralytics"]),
        "mediapipe": ("mediapipe_loop.py", [], ["mediapipe"]),
    }
    found: dict[str, PeerLoop | Failure] = {}
    for step, (name, (script, words, packages)) in enumerate(peers.items()):
        made = environment(environments / script.partition("_")[0], packages) if packages else Path(sys.executable)
        found[name] = made if isinstance(made, Failure) else _loop(made, script, [str(film), *words])
        progress(step + 1, len(peers))
    return found


def environment(folder: Path, packages: list[str]) -> Path | Failure:
    """The Python of a virtual environment with `packages`, which also sees this one's; or the command that failed."""
    python = folder / "bin" / "python"
    if not python.exists():
        venv.create(folder, with_pip=True)
        site = next(folder.glob("lib/python*/site-packages"))
        (site / "beside.pth").write_text(f"{sysconfig.get_path('purelib')}\n{_ROOT}\n", "utf-8")
    command = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *packages]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return python if done.returncode == 0 else _failed(["pip", "install", *packages], done.stderr)


def _loop(python: Path, script: str, words: list[str]) -> PeerLoop | Failure:
    command = [str(python), "-W", "ignore", str(_SCRIPTS / script), *words]
    shown = ["python", f"bench/peers/{script}", *(Path(word).name for word in words)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=_TIME_LIMIT_S)
    except subprocess.TimeoutExpired:
        return _failed(shown, f"took more than {_TIME_LIMIT_S} s")
    if done.returncode != 0:
        return _failed(shown, done.stderr)
    return PeerLoop(**json.loads(done.stdout.splitlines()[-1]))


def _failed(command: list[str], said: str) -> Failure:
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    return Failure(shlex.join(command), lines[-1][:200] if lines else "no word")
