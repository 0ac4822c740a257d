"""For scripts that do what a person would type: the command beside the Python that runs them."""

import subprocess
import sys
from pathlib import Path

_EDGEWISE = Path(sys.executable).with_name("edgewise")


def edgewise(*arguments: str, check: bool = True) -> bool:
    """Shows the command and runs it. Returns whether it ended well; with `check`, raises CalledProcessError if not."""
    print("edgewise", *arguments, flush=True)
    return subprocess.run([str(_EDGEWISE), *arguments], check=check).returncode == 0
