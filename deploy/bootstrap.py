"""The packages that a release needs onto a board that lacks them: from the desk, without root, and beside the system's.

What the system has and what its vendor built stays in use. The rest comes as wheels, pinned by their sha256, which the
desk downloads for the board's Python and machine; so the board needs no internet and no pip.
"""

import hashlib
import io
import json
import re
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import edge.contract.packages
from deploy import bare
from deploy.board import Board, Look, Wire
from edge.contract.errors import BoardError, InputError, UsageError
from edge.contract.files import read_pieces
from edge.contract.packages import FOLDER

Progress = Callable[[int, int], None]  # bytes of wheels sent so far, of how many
Agree = Callable[[tuple[str, ...]], bool]

_TABLE = Path(__file__).with_name("wheels.json")  # scripts/wheel_table.py makes it
_EDGE = Path(edge.contract.packages.__file__).parents[1]
_WHEELS = f"{FOLDER}/wheels"  # where they wait on the board to be unpacked
# Each module that edge/ imports: the packages whose wheels bring it
_BRINGS = {
    "numpy": ("numpy",),
    "cv2": ("opencv-python-headless",),
    "onnxruntime": ("onnxruntime",),
    "cryptography": ("cryptography", "cffi", "typing-extensions"),
}
_VENDOR = {"onnxruntime-gpu": "onnxruntime", "opencv-python": "opencv-python-headless"}
_OLD_TAGS = {"manylinux1_": "manylinux_2_5_", "manylinux2010_": "manylinux_2_12_", "manylinux2014_": "manylinux_2_17_"}


@dataclass(frozen=True)
class Bare:
    """What a board has."""

    python: str  # 3.6
    machine: str  # aarch64
    glibc: str
    packages: dict[str, dict[str, str]]  # by module: {"version", "file"} or {"error"}
    unpacked: list[str]  # wheels of an earlier bootstrap

    @property
    def name(self) -> str:
        return f"Python {self.python} on {self.machine}"


@dataclass(frozen=True)
class Wheel:
    """One of deploy/wheels.json; without a version, one of the person's own, which is not checked."""

    package: str
    file: str
    version: str = ""
    sha256: str = ""


def bootstrap(
    board: Board, found: Look, wheels: Path | None, agree: Agree, progress: Progress = lambda done, total: None
) -> tuple[str, ...]:
    """Puts what the board lacks into its folder's packages/. Returns the names of the wheels.

    wheels: a folder of wheels that are taken before those of the table: a vendor's, or all where the desk is offline,
    too. Raises BoardError for a board that the table does not know or whose Python cannot import them, UsageError
    where nobody agrees, InputError for wheels that cannot be had.
    """
    bare_board = Bare(**board.examine(_program(), "probe"))
    chosen = choose(bare_board, wheels)
    if not chosen or [wheel.file for wheel in chosen] == bare_board.unpacked:
        return ()
    if not agree(_lines(board.target.name, found.root, bare_board, chosen)):
        raise UsageError("nobody agreed, so nothing was written", "a yes", "answer y, or say --yes in a script")
    with tempfile.TemporaryDirectory(prefix="edgewise-wheels-") as folder:
        paths = fetch(chosen, bare_board, wheels, Path(folder))
        board.claim()
        total = sum(path.stat().st_size for path in paths)
        board.remove(_WHEELS)
        board.bring([_wire(path) for path in paths], lambda done: progress(done, total), tell=False)
    try:
        board.examine(_program(), "unpack", f"{found.root}/{_WHEELS}")
    finally:
        board.remove(_WHEELS)
    return tuple(wheel.file for wheel in chosen)


def choose(bare_board: Bare, wheels: Path | None) -> list[Wheel]:
    """The wheels that the board lacks, by their file's name. Raises BoardError where the table has none for it."""
    row = json.loads(_TABLE.read_text()).get(f"{bare_board.python} {bare_board.machine}", {"numpy": "", "wheels": []})
    table = {each["name"]: Wheel(each["name"], each["file"], each["version"], each["sha256"]) for each in row["wheels"]}
    own = _own(wheels, bare_board) if wheels else {}
    lacking = [module for module, there in bare_board.packages.items() if "error" in there]
    numpy = bare_board.packages["numpy"].get("version")
    if numpy and "onnxruntime" in lacking and _numbers(numpy) < _numbers(row["numpy"]):
        lacking.append("numpy")
    chosen = []
    for module in lacking:
        brought = [_taken(own.get(package), table.get(package)) for package in _BRINGS[module]]
        if brought[0] is None:
            raise _by_hand(bare_board, lacking)
        chosen += [wheel for wheel in brought if wheel is not None]
    if any(min(map(_glibc, _tags(wheel.file))) > _numbers(bare_board.glibc) for wheel in chosen):
        raise _by_hand(bare_board, lacking)
    return sorted(chosen, key=lambda wheel: wheel.file)


def _taken(own: Wheel | None, tested: Wheel | None) -> Wheel | None:
    """The person's own comes first, but one that is in the table is checked."""
    return tested if own is None or (tested is not None and tested.file == own.file) else own


def fetch(chosen: list[Wheel], bare_board: Bare, wheels: Path | None, folder: Path) -> list[Path]:
    """The wheels' files: from the person's folder, or by pip into `folder`. Raises InputError for another content."""
    here = [wheels is not None and (wheels / wheel.file).is_file() for wheel in chosen]
    paths = [(wheels if wheels and own else folder) / wheel.file for wheel, own in zip(chosen, here, strict=True)]
    absent = [wheel for wheel, own in zip(chosen, here, strict=True) if not own]
    if absent:
        _download(absent, bare_board, folder)
    for wheel, path in zip(chosen, paths, strict=True):
        if wheel.sha256 and hashlib.sha256(path.read_bytes()).hexdigest() != wheel.sha256:
            raise InputError(f"{path} has another sha256", wheel.sha256, "remove it; it is not what was tested")
    return paths


def _download(absent: list[Wheel], bare_board: Bare, folder: Path) -> None:
    tags = {tag for wheel in absent for tag in _tags(wheel.file)} - {"any"}
    words = ["--no-deps", "--only-binary=:all:", "--implementation", "cp", "--python-version", bare_board.python]
    # pip takes the first that there is, and the table has the newest
    words += [word for tag in sorted(tags, key=_glibc, reverse=True) for word in ("--platform", tag)]
    words += [f"{wheel.package}=={wheel.version}" for wheel in absent]
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--dest", str(folder), *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    lacking = [wheel.file for wheel in absent if not (folder / wheel.file).is_file()]
    if done.returncode != 0 or lacking:
        said = (done.stderr.strip().splitlines() or ["nothing"])[-1][:200]
        remedy = f"put {', '.join(lacking)} into a folder and name it with --wheels"
        raise InputError(f"pip on this machine says: {said}", "the wheels of the table", remedy)


def _own(folder: Path, bare_board: Bare) -> dict[str, Wheel]:
    """The wheels in the person's folder that fit the board's Python and machine, by the package they bring."""
    tag = "cp" + bare_board.python.replace(".", "")
    found = {}
    for path in sorted(folder.glob("*.whl")):
        parts = path.name.removesuffix(".whl").split("-")
        fits_python = tag in parts[-3].split(".") or "py3" in parts[-3].split(".") or parts[-2] == "abi3"
        fits_machine = parts[-1] == "any" or parts[-1].endswith(bare_board.machine)
        if len(parts) >= 5 and fits_python and fits_machine:
            name = re.sub(r"[-_.]+", "-", parts[0]).lower()
            package = _VENDOR.get(name, name)
            found[package] = Wheel(package, path.name)
    return found


def _lines(target: str, root: str, bare_board: Bare, chosen: list[Wheel]) -> tuple[str, ...]:
    wheels = [f"{wheel.package} {wheel.version}" if wheel.version else wheel.file for wheel in chosen]
    there = [f"{module} {each['version']}" for module, each in bare_board.packages.items() if "version" in each]
    lines = [
        f"{target} has {bare_board.name}, and of what a release needs {', '.join(there) or 'nothing'}.",
        *(f"it lacks {module}: {each['error']}" for module, each in bare_board.packages.items() if "error" in each),
        f"here: get {', '.join(wheels)}",
        f"there: unpack them into {root}/{FOLDER} and import them. Only edgewise looks there; nothing else is changed.",
    ]
    if "error" in bare_board.packages["cv2"]:
        lines.append("This OpenCV has no GStreamer, so no CSI camera: `sudo apt install python3-opencv` there has.")
    if "error" in bare_board.packages["onnxruntime"] and bare_board.machine == "aarch64":
        lines.append(
            "This onnxruntime uses the CPU. For a Jetson's GPU get NVIDIA's wheel and name its folder: --wheels"
        )
    return tuple(lines)


def _by_hand(bare_board: Bare, lacking: list[str]) -> BoardError:
    apt = {"numpy": "python3-numpy", "cv2": "python3-opencv"}
    system = [apt[module] for module in lacking if module in apt]
    own = [module for module in lacking if module not in apt]
    commands = [f"sudo apt install {' '.join(system)}"] * bool(system)
    commands += [f"python3 -m pip install --user {' '.join(own)}"] * bool(own)
    return BoardError(
        f"no tested wheels for {bare_board.name} with glibc {bare_board.glibc or 'none'}",
        "a row of the table in docs/board.md",
        f"install by hand there: `{'`, `'.join(commands)}`",
    )


def _tags(file: str) -> list[str]:
    """The systems that a wheel is for, by its name."""
    return file.removesuffix(".whl").rpartition("-")[2].split(".")


def _glibc(tag: str) -> tuple[int, ...]:
    """The oldest glibc that a system of this tag has."""
    for old, version in _OLD_TAGS.items():
        tag = tag.replace(old, version)
    return _numbers(tag.removeprefix("manylinux").partition("_x86")[0].partition("_aarch")[0])


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", version)[:3])


def _wire(path: Path) -> Wire:
    return Wire(f"{_WHEELS}/{path.name}", 0, path.stat().st_size, _pieces(path), None)


def _pieces(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        yield from read_pieces(file)


def _program() -> bytes:
    """A zip that Python runs: deploy/bare.py and what it imports."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(bare.__file__, "__main__.py")
        for name in ("__init__.py", "contract/__init__.py", "contract/packages.py"):
            archive.write(_EDGE / name, f"edge/{name}")
    return made.getvalue()
