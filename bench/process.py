"""What Linux tells of a running process: its memory, threads, files and processes; and of the machine (proc(5))."""

import os
import re
from pathlib import Path

_PROC = Path("/proc")


def resident_mb(pid: int) -> float:
    found = re.search(r"VmRSS:\s+(\d+) kB", (_PROC / str(pid) / "status").read_text("utf-8"))
    return int(found.group(1)) / 1e3 if found else float("nan")


def count(pid: int, what: str) -> int:
    """Its threads (`task`) or open files (`fd`)."""
    return sum(1 for _ in (_PROC / str(pid) / what).iterdir())


def children(pid: int) -> list[int]:
    """Those that any of its threads started."""
    threads = (_PROC / str(pid) / "task").glob("*/children")
    return [int(child) for thread in threads for child in thread.read_text("ascii").split()]


def runs(pid: int) -> bool:
    """False for one that has ended, also before its parent has asked how."""
    try:
        return ") Z " not in (_PROC / str(pid) / "stat").read_text("utf-8")
    except OSError:
        return False


def processor_seconds(pid: int) -> float:
    """Of it and of all that it has started and waited for."""
    fields = (_PROC / str(pid) / "stat").read_text("utf-8").rpartition(")")[2].split()
    return sum(int(ticks) for ticks in fields[11:15]) / os.sysconf("SC_CLK_TCK")


def stolen_ms() -> float:
    """Processor time that was wanted here and that the host gave to others, of all cores since the machine started."""
    cpu = (_PROC / "stat").read_text("ascii").split("\n", 1)[0].split()
    return int(cpu[8]) / os.sysconf("SC_CLK_TCK") * 1e3
