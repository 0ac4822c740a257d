"""Where the packages are that `edgewise flash --bootstrap` put on a board that lacked them."""

import os
from typing import Dict, List, Mapping

FOLDER = "packages"
FIRST = os.path.join(FOLDER, "first")  # before the system's: only what it lacks, or has too old
LAST = os.path.join(FOLDER, "last")  # behind the system's: OpenCV, whose own one may have GStreamer


def add_packages(root: str, path: List[str]) -> None:
    """Puts the packages of the board's folder `root` into `path`, a sys.path whose first entry stays first."""
    path.insert(1, os.path.join(root, FIRST))
    path.append(os.path.join(root, LAST))


def with_packages(root: str, environment: Mapping[str, str]) -> Dict[str, str]:
    """`environment` for a child process that is to find those packages, too."""
    folders = [os.path.join(root, FIRST), environment.get("PYTHONPATH", ""), os.path.join(root, LAST)]
    return dict(environment, PYTHONPATH=os.pathsep.join(filter(None, folders)))
