"""For scripts that do what a person would type: the command beside the Python that runs them."""

import subprocess
import sys
from pathlib import Path

_EDGEWISE = Path(sys.executable).with_name("edgewise")


def edgewise(*arguments: str) -> None:
    """Shows the command and runs it. Raises CalledProcessError where it fails."""
    print("edgewise", *arguments, flush=True)
    subprocess.run([str(_EDGEWISE), *arguments], check=True)
