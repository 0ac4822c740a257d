"""What the README says of other tools is what docs/*.json say."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_the_table_beside_other_tools_is_what_the_script_writes() -> None:
    command = [sys.executable, "scripts/readme_table.py", "--check"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
