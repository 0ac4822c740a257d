"""Makes deploy/wheels.json: the wheels that `edgewise flash --bootstrap` puts on a board, pinned by their sha256.

    .venv/bin/python scripts/wheel_table.py

It asks the package index and downloads nothing. For Python 3.6 the versions are those that constraints/py36.txt tests
with, for the others the newest that the system's glibc takes; but numpy stays below 2 up to Python 3.12, since the
OpenCV that such a system has was built for that, and the wheel of OpenCV fits that numpy.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

MACHINES = ("aarch64", "x86_64")
# Python: the system's glibc, the numpy that is enough, the versions. What onnxruntime and cryptography import, and no
# more: their other requirements are for tools that a board does not run.
TABLE = {
    "3.6": (  # Ubuntu 18.04, JetPack 4
        27,
        "1.16.6",
        "numpy==1.19.5 onnxruntime==1.10.0 opencv-python-headless==4.6.0.66 cryptography==40.0.2 cffi==1.15.1",
    ),
    "3.8": (  # Ubuntu 20.04, JetPack 5
        31,
        "1.21.6",
        "numpy==1.24.4 onnxruntime==1.19.2 opencv-python-headless==4.11.0.86 cryptography==46.0.3 cffi==1.17.1"
        " typing-extensions==4.13.2",
    ),
    "3.10": (  # Ubuntu 22.04, JetPack 6
        35,
        "1.21.6",
        "numpy==1.26.4 onnxruntime==1.23.2 opencv-python-headless==4.11.0.86 cryptography==50.0.2 cffi==2.0.0"
        " typing-extensions==4.15.0",
    ),
    "3.11": (  # Debian 12
        36,
        "1.21.6",
        "numpy==1.26.4 onnxruntime==1.31.1 opencv-python-headless==4.11.0.86 cryptography==50.0.2 cffi==2.0.0",
    ),
    "3.12": (  # Ubuntu 24.04, JetPack 7
        39,
        "1.21.6",
        "numpy==1.26.4 onnxruntime==1.31.1 opencv-python-headless==4.11.0.86 cryptography==50.0.2 cffi==2.0.0",
    ),
    "3.13": (  # Debian 13
        41,
        "2.1.0",
        "numpy==2.4.6 onnxruntime==1.31.1 opencv-python-headless==4.12.0.88 cryptography==50.0.2 cffi==2.0.0",
    ),
}
OUT = Path(__file__).resolve().parents[1] / "deploy" / "wheels.json"


def main() -> None:
    table = {
        f"{python} {machine}": {"numpy": numpy, "wheels": wheels(python, glibc, machine, versions.split())}
        for python, (glibc, numpy, versions) in TABLE.items()
        for machine in MACHINES
    }
    OUT.write_text(json.dumps(table, indent=1, sort_keys=True) + "\n")


def wheels(python: str, glibc: int, machine: str, versions: list[str]) -> list[dict[str, object]]:
    """What pip chooses for that board: name, version, file and sha256 of each."""
    tags = [f"manylinux_2_{minor}_{machine}" for minor in range(glibc, 16, -1)] + [f"manylinux2014_{machine}"]
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        words = ["--dry-run", "--ignore-installed", "--no-deps", "--only-binary=:all:", "--implementation", "cp"]
        words += ["--python-version", python, "--target", folder, "--report", str(report)]
        words += [word for tag in tags for word in ("--platform", tag)]
        subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", *words, *versions], check=True)
        found = json.loads(report.read_text())["install"]
    return sorted(
        (
            {
                "name": each["metadata"]["name"].lower().replace("_", "-"),
                "version": each["metadata"]["version"],
                "file": each["download_info"]["url"].rpartition("/")[2],
                "sha256": each["download_info"]["archive_info"]["hashes"]["sha256"],
            }
            for each in found
        ),
        key=lambda wheel: wheel["name"],
    )


if __name__ == "__main__":
    main()
