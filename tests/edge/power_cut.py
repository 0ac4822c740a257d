"""What a disk may hold after a power cut: a process's writes, as the kernel saw them, each kept, torn or lost.

What was synchronised is there. Of what was written after that, any part may be: every sector of every write by itself,
in any order; a shortening or a removal too. So assumes SQLite (sqlite.org/atomiccommit.html), and so do disks behave.
"""

import os
import re

SECTOR = 512
CALLS = "write,pwrite64,ftruncate,fsync,fdatasync,unlink"
_CALL = re.compile(r"^\d+ +(\w+)\((.*)\) += (-?\d+)")
_HEX = re.compile(r"(?:\\x[0-9a-f]{2})+")


def trace_command(log):
    """What to put before a command so that its writes are in the file `log`."""
    return ["strace", "-f", "-y", "-xx", "-s", "1000000", "-qq", "-e", "signal=none", "-e", "trace=" + CALLS, "-o", log]


def read_trace(log, folder):
    """The calls that concern files in `folder`, and writes to standard output: (name, path, data, number) each."""
    calls = []
    with open(log) as lines:
        for line in lines:
            found = _CALL.match(line)
            if found is None or int(found.group(3)) < 0:
                continue
            name, arguments = found.group(1), found.group(2)
            texts = [bytes.fromhex(text.replace("\\x", "")) for text in _HEX.findall(arguments)]
            numbers = [int(each) for each in re.findall(r"(?<=, )\d+(?=,|$)", arguments)]
            path = texts[0].decode("utf-8", "replace") if texts else ""
            if name == "write" and arguments.startswith("1<"):
                calls.append(("said", "", texts[-1], 0))
            elif (path + os.sep).startswith(folder + os.sep) and name != "write":
                calls.append((name, path, texts[1] if len(texts) > 1 else b"", numbers[-1] if numbers else 0))
    return calls


class Disk:
    """Files as they are after some calls: what is surely there, and what was done since the last synchronisation."""

    def __init__(self):
        self._sure = {}  # path -> bytes
        self._open = {}  # path -> calls since

    def do(self, call):
        name, path, data, number = call
        if name in ("pwrite64", "ftruncate", "unlink"):
            self._open.setdefault(path, []).append((name, data, number))
            return
        for its in [path] if path in self._open else sorted(self._open):
            # A folder's synchronisation is about names only: it makes removals sure, and no content
            if its == path or (its.startswith(path + os.sep) and self._open[its][-1][0] == "unlink"):
                for each in self._open.pop(its):
                    self._sure[its] = _done(self._sure.get(its), each)

    def after_power_cut(self, random):
        """The content of each file that is there."""
        files = dict(self._sure)
        for path, calls in self._open.items():
            for call in calls:
                for part in _parts(call):
                    if random.random() < 0.5:
                        files[path] = _done(files.get(path, b""), part)
        return {path: content for path, content in files.items() if content is not None}


def _parts(call):
    name, data, at = call
    if name != "pwrite64":
        return [call]
    return [(name, data[i : i + SECTOR], at + i) for i in range(0, len(data), SECTOR)]


def _done(content, call):
    name, data, number = call
    content = content or b""
    if name == "unlink":
        return None
    if name == "ftruncate":
        return content[:number].ljust(number, b"\0")
    content = content.ljust(number, b"\0")
    return content[:number] + data + content[number + len(data) :]
