"""The boards that a release can name, and how one is recognised.

The numbers are NVIDIA's part numbers of modules and developer kits, as `compatible` of a Jetson's device tree has them
(NVIDIA's own device trees; the L4T Development Guide's page on the EEPROM layout lists the modules).
"""

import os
import re
from typing import List

ANY = "any"
MACHINES = ("aarch64", "x86_64")  # what `uname -m` says, for a release that any such board may run
_BOARDS = (
    ("jetson-nano", r"p3448|p3450"),
    ("jetson-tx1", r"p2180|p2371"),
    ("jetson-tx2", r"p2771|p3310|p3489|p3636|quill"),
    ("jetson-xavier-nx", r"p3668"),
    ("jetson-agx-xavier", r"p2888|p2972"),
    ("jetson-orin-nano", r"p3767-000[345]"),
    ("jetson-orin-nx", r"p3767-000[01]"),
    ("jetson-agx-orin", r"p3701"),
    ("jetson-agx-thor", r"p3834"),
)
NAMES = (ANY,) + MACHINES + tuple(name for name, _ in _BOARDS)


def find_board(system: str = "/") -> str:
    """The name of the board whose system files are below `system`, or "" for one that is not in the table.

    The most specific entry of `compatible` comes first (Devicetree Specification 2.3.1), so the first that fits counts.
    """
    for entry in _entries(os.path.join(system, "proc", "device-tree", "compatible")):
        for name, pattern in _BOARDS:
            if re.search(pattern, entry):
                return name
    return ""


def _entries(path: str) -> List[str]:
    try:
        with open(path, "rb") as file:
            return file.read(4096).decode("ascii", "replace").split("\0")
    except OSError:
        return []  # a PC has no device tree
