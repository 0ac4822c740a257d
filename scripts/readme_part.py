"""For scripts that write a part of the README between two marks, or with --check say that it is out of date."""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
END = "<!-- end -->\n"


def write_part(script: str, part: str) -> int:
    """Puts `part` where the README says that `script` made it. Returns the exit code."""
    readme, begin = ROOT / "README.md", f"<!-- made by scripts/{script} -->\n"
    text = readme.read_text("utf-8")
    before, _, rest = text.partition(begin)
    _, _, after = rest.partition(END)
    wanted = before + begin + part + END + after
    if "--check" not in sys.argv[1:]:
        readme.write_text(wanted, "utf-8")
    elif wanted != text:
        print(f"README.md is not what scripts/{script} writes", file=sys.stderr)
        return 1
    return 0
