"""Thousands of mutated releases against a board that runs one: each refused in one line, and nothing of it changed."""

import hashlib
import os
import random
import resource
import shutil
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from bench.mutations import MUTATIONS, Good, bombs, zip_of
from deploy.archive import archive_bytes
from deploy.keys import key_id, public_pem
from edge.board import Board, load_state
from edge.contract.errors import EdgewiseError
from edge.contract.manifest import REQUIRED, FileEntry, Manifest, manifest_bytes
from edge.contract.spec import ModelSpec
from edge.install import install

_COUNTER = 1000  # of the release that runs


@dataclass(frozen=True)
class FuzzReport:
    mutated: int
    refused: int  # in one line, by an error of ours
    same: int  # no byte of a file differs, only a field that nothing reads; installed like the original
    harmed: tuple[str, ...]  # what else happened: kind, number and how
    kinds: dict[str, int]  # refused, by kind of mutation
    memory_mb: float  # that the peak rose by


def fuzz(count: int, seed: int, folder: Path) -> FuzzReport:
    """`count` mutations of one small release, the kinds in turn, drawn from `seed`. Writes in `folder` only.

    Run it in a process of its own: the memory is the process's peak.
    """
    good = good_release()
    refused: Counter[str] = Counter()
    same, harmed = 0, []
    board = running(good, folder / "board")
    before = footprint(board)
    peak_before = _peak_mb()
    for number in range(count):
        mutate = MUTATIONS[number % len(MUTATIONS)]
        path = folder / "mutated.edge"
        path.write_bytes(mutate(good, random.Random(f"{seed} {number}")))  # noqa: S311  not for secrets
        verdict = judge(board, path, good, before)
        if verdict == "refused":
            refused[mutate.__name__] += 1
            continue
        same += verdict == "same"
        if verdict != "same":
            harmed.append(f"{mutate.__name__} {number}: {verdict}")
        shutil.rmtree(folder / "board")
        board = running(good, folder / "board")
        before = footprint(board)
    total = sum(refused.values())
    return FuzzReport(count, total, same, tuple(harmed), dict(refused), _peak_mb() - peak_before)


def judge(board: Board, archive: Path, good: Good, before: dict[str, tuple[object, ...]]) -> str:
    """What installing the mutated `archive` did: "refused", "same", or what was wrong."""
    try:
        done = install(board, str(archive), lambda release: None)
    except EdgewiseError as error:
        if "\n" in str(error):
            return "more than one line"
        return "refused" if footprint(board) == before else "refused, but the board changed"
    except Exception as error:  # noqa: BLE001  any other error is what is looked for
        return f"{type(error).__name__}: {error}"
    release = Path(board.release(done.release))
    installed = {str(p.relative_to(release)): p.read_bytes() for p in release.rglob("*") if p.is_file()}
    return "same" if {name: installed.get(name) for name in good.files} == good.files else "other bytes were installed"


def good_release() -> Good:
    """A small release that the board of this bench would take."""
    files = {name: f"content of {name}\n".encode() for name in REQUIRED} | {"labels.txt": b"cat\ndog\n"}
    files |= {f"runtime/edge/module{n}.py": hashlib.sha256(bytes([n])).hexdigest().encode() * 20 for n in range(3)}
    key, stranger = (Ed25519PrivateKey.from_private_bytes(bytes([n]) * 32) for n in (1, 2))
    manifest = _manifest(files, _COUNTER + 1)
    contents = [(name, len(data), [data]) for name, data in sorted(files.items())]
    return Good(archive_bytes(manifest, key.sign(manifest), contents), files, manifest, key, stranger, bombs())


def footprint(board: Board) -> dict[str, tuple[object, ...]]:
    """Every file and link: inode, size and time of its last change; of the state all but what was FAILED."""
    state = load_state(board)
    found: dict[str, tuple[object, ...]] = {"state": (state.current, state.previous, state.counter)}
    for folder, _, names in os.walk(board.root):
        for name in names:
            path = Path(folder, name)
            stat = path.lstat()
            found[str(path)] = (stat.st_ino, stat.st_size, stat.st_mtime_ns)
    return {name: what for name, what in found.items() if name not in (board.path("lock"), board.path("state.json"))}


def running(good: Good, root: Path) -> Board:
    """A board that trusts the owner's key and runs a release before the good one."""
    trust = root / "trust"
    trust.mkdir(parents=True)
    public = good.key.public_key()
    (trust / f"{key_id(public)}.pub").write_bytes(public_pem(public))
    board = Board(str(root), "aarch64", "jetson-nano")
    old = replace(good, files={name: data + b"old\n" for name, data in good.files.items()})
    first = root.parent / "first.edge"
    first.write_bytes(zip_of(old.entries(_manifest(old.files, _COUNTER))))
    install(board, str(first), lambda release: None)
    return board


def _manifest(files: dict[str, bytes], counter: int) -> bytes:
    entries = {name: FileEntry(len(data), hashlib.sha256(data).hexdigest()) for name, data in files.items()}
    model = ModelSpec("tiny", 8, 8, 1, 4, 2)
    return manifest_bytes(Manifest(1, "tiny", "1", counter, "2026-11-22T05:41:00Z", ("jetson-nano",), model, entries))


def _peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
