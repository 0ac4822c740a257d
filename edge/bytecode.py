"""Bytecode beside a release's modules: what runs later writes nothing there, and would compile them at each start."""

import os
import py_compile
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Iterable

from edge.contract.files import sync_folder

_AT_ONCE = 16  # a file system writes its journal once for all that wait for it


def compile_modules(folder: str, names: Iterable[str]) -> None:
    """For each module of `names`, below `folder`, that compiles; durable. Of another the trial says what is wrong."""
    made = []
    for name in names:
        with suppress(py_compile.PyCompileError):
            made.append(py_compile.compile(os.path.join(folder, name), doraise=True))
    caches = {os.path.dirname(path) for path in made}
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        list(pool.map(_sync, made))
    for place in sorted(caches | {os.path.dirname(cache) for cache in caches}):
        sync_folder(place)


def _sync(path: str) -> None:
    with open(path, "rb") as file:
        os.fsync(file.fileno())
