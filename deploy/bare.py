"""What runs on a board that lacks packages: `probe` says what is there, `unpack` puts wheels where only edgewise looks.

deploy/bootstrap.py sends it; the board need have nothing but Python 3.6 and its standard library. pip is not used
there: a wheel is a zip that is unpacked, and an old pip would refuse it.
"""

import compileall
import json
import os
import platform
import shutil
import subprocess
import sys
import zipfile
from typing import Any, Dict, List

from edge.contract.packages import FIRST, FOLDER, LAST

# The import of each in a process of its own: one may end by a signal. What it says last: its version and its file.
_IMPORTS = {
    "numpy": "import numpy as m",
    "cv2": "import cv2 as m",
    "onnxruntime": "import onnxruntime as m",
    "cryptography": "import cryptography as m; from cryptography.hazmat.primitives.asymmetric import ed25519",
}
_ALL = "import sys; from edge.contract.packages import add_packages; add_packages({!r}, sys.path); {}"
_SECONDS = 300  # a small board's first import, from a slow card
_LIST = "wheels.json"


def probe(root: str) -> Dict[str, Any]:
    """What the system has without the packages of an earlier bootstrap, and which wheels those came from."""
    try:
        with open(os.path.join(root, FOLDER, _LIST), encoding="ascii") as file:
            unpacked = json.load(file)
    except (OSError, ValueError):
        unpacked = []
    return {
        "python": "{}.{}".format(*sys.version_info[:2]),
        "machine": platform.machine(),
        "glibc": platform.libc_ver()[1],
        "packages": {name: _found(code) for name, code in _IMPORTS.items()},
        "unpacked": unpacked,
    }


def unpack(root: str, folder: str) -> Dict[str, Any]:
    """Unpacks the wheels in `folder`, tries the imports, and only then puts them in the place of what was there."""
    new = os.path.join(root, FOLDER + ".new")
    shutil.rmtree(new, ignore_errors=True)
    names = sorted(os.listdir(folder))
    for name in names:
        to = LAST if name.startswith("opencv") else FIRST
        with zipfile.ZipFile(os.path.join(folder, name)) as wheel:
            wheel.extractall(os.path.join(new, os.path.relpath(to, FOLDER)))
    compileall.compile_dir(new, quiet=2)  # a release runs with -B, which would compile them anew each time
    with open(os.path.join(new, _LIST), "w", encoding="ascii") as file:
        json.dump(names, file)
    os.sync()  # thousands of small files: once for all
    place = os.path.join(root, FOLDER)
    old = place + ".old"
    shutil.rmtree(old, ignore_errors=True)
    os.rename(place, old)  # it is there, if only with the wheels
    os.rename(new, place)
    found = _found("; ".join([_ALL.format(root, "import cv2")] + list(_IMPORTS.values())))
    if "error" in found:
        shutil.rmtree(place)
        os.rename(old, place)
        raise ImportError(found["error"])
    os.sync()
    shutil.rmtree(old, ignore_errors=True)
    return {"unpacked": names}


def _found(code: str) -> Dict[str, str]:
    """{"version", "file"} of the module that `code` imports as m; {"error"} if it cannot."""
    environment = dict(os.environ, PYTHONPATH=sys.path[0], OPENBLAS_CORETYPE="ARMV8")
    if platform.machine() != "aarch64":
        del environment["OPENBLAS_CORETYPE"]
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-B", "-c", code + "; print(m.__version__); print(m.__file__)"],
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        timeout=_SECONDS,
    )
    lines = done.stdout.decode("utf-8", "replace").splitlines()
    if done.returncode == 0 and len(lines) >= 2:
        return {"version": lines[-2], "file": lines[-1]}
    last = done.stderr.decode("utf-8", "replace").strip().rpartition("\n")[2]
    return {"error": last[:300] or "the import ended with {}".format(done.returncode)}


def main(words: List[str]) -> int:
    """ROOT probe, or ROOT unpack FOLDER; one JSON object on stdout."""
    try:
        answer = probe(words[0]) if words[1] == "probe" else unpack(words[0], words[2])
    except (ImportError, OSError, zipfile.BadZipFile, subprocess.TimeoutExpired) as error:
        said = {"found": str(error), "expected": "packages that this board's Python can import"}
        remedy = "nothing was changed; see docs/board.md, A bare board"
        answer = {"error": dict(said, remedy=remedy, kind="BoardError")}
    sys.stdout.write(json.dumps(answer) + "\n")
    return 1 if "error" in answer else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
