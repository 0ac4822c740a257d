"""Kills a process that teaches and forgets, at random moments (kill -9), and looks at what it left each time.

Every lesson that was acknowledged must be there whole, everything acknowledged as forgotten must be gone to the byte,
and the store must be sound. Prints how often the kill hit what, and how long the next command waited for an answer.
Python 3.6 or later, from the project's folder: PYTHONPATH=. python scripts/kill_learning.py --runs 1000
"""

import argparse
import collections
import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from edge.rows import Key, NewExample
from edge.store import open_store

KEY = Key("backbone", "look")
FEATURES, PICTURE_BYTES = 1280, 20000
MOST_TAUGHT = 120  # examples; with more, about half of the lessons are forgotten at once
MOST_ALIVE_S = 0.15  # that a child may live

ANSWER = f"""
import sys, edge.lessons
from edge.rows import Key
from edge.store import open_store
with open_store(sys.argv[1]) as store:
    print(len(store.taught(Key('backbone', 'look'), {FEATURES})))
"""


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = kill_again_and_again(Path(folder, "learned.sqlite"), options.runs, options.seed)
    if options.json:
        print(json.dumps(found))
    else:
        for name, value in found.items():
            print(f"{name}: {value}")


def kill_again_and_again(path, runs, seed):
    """The figures, by name."""
    random = np.random.RandomState(seed)
    lessons = {}  # marker -> number of its examples: what is acknowledged
    hit = collections.Counter()
    times_ms = []
    lost = corrupt = left = 0
    for run in range(runs):
        forgotten, in_flight, opened = one_kill(path, lessons, random, seed * runs + run)
        hit[in_flight[0] if in_flight else "between" if opened else "opening"] += 1
        started = time.perf_counter()
        with open_store(str(path)) as store:
            count = collections.Counter(row.source for row in store.examples(KEY))
            store.taught(KEY, FEATURES)
        times_ms.append((time.perf_counter() - started) * 1e3)
        lost += settle(lessons, dict(count), in_flight, forgotten)
        with open_store(str(path)) as store:
            corrupt += store.check() != []
        left += sum(marker.encode() in bytes_in(path.parent) for marker in forgotten)
    cold_ms = [cold_start(path) for _ in range(max(1, runs // 50))]
    return {
        "kills": runs,
        "hit": dict(hit),
        "acknowledged lessons lost or changed": lost,
        "corrupt stores": corrupt,
        "forgotten lessons with a byte left": left,
        "answer of the next command, ms: median, 95 %, most": spread(times_ms),
        "the same from the start of a process, ms: median, 95 %, most": spread(cold_ms),
    }


def one_kill(path, lessons, random, seed):
    """Lets a child work, and kills it. Brings `lessons` up to what it acknowledged.

    Returns the markers that it acknowledged as forgotten, what it was doing: (verb, markers, examples) or None, and
    whether it had opened the store.
    """
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.close(reading)
            work(path, dict(lessons), np.random.RandomState(seed), os.fdopen(writing, "w", 1))
        finally:
            os._exit(1)  # it must not return into the parent's work
    os.close(writing)
    if random.rand() < 0.9:
        select.select([reading], [], [])  # until it has opened the store
    time.sleep(random.uniform(0, MOST_ALIVE_S))
    os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    if not os.WIFSIGNALED(status):
        raise SystemExit("the child failed by itself")
    with os.fdopen(reading) as said:
        lines = [line.split() for line in said.read().splitlines()]
    forgotten, in_flight = [], None
    for verb, names, examples in lines:
        markers = names.split(",")
        in_flight = (verb, markers, int(examples)) if verb in ("teach", "forget") else None
        if verb == "taught":
            lessons[names] = int(examples)
        elif verb == "forgotten":
            forgotten += markers
            for marker in markers:
                lessons.pop(marker)
    return forgotten, in_flight, bool(lines)


def work(path, lessons, random, out):
    """Teaches and forgets for ever. Says each thing before it starts and when it is acknowledged."""
    with open_store(str(path)) as store:
        print("opened - 0", file=out, flush=True)
        while True:
            if sum(lessons.values()) > MOST_TAUGHT:
                markers = [marker for marker in sorted(lessons) if random.rand() < 0.5] or [min(lessons)]
                print("forget", ",".join(markers), 0, file=out, flush=True)
                store.remove([row.id for row in store.examples(KEY) if row.source in markers])
                print("forgotten", ",".join(markers), 0, file=out, flush=True)
                lessons = {marker: n for marker, n in lessons.items() if marker not in markers}
            else:
                marker = random.bytes(16).hex()
                examples = random.randint(1, 6)
                print("teach", marker, examples, file=out, flush=True)
                store.add("label", "2026-11-22T05:41:00Z", KEY, [example(marker, random) for _ in range(examples)])
                lessons[marker] = examples
                print("taught", marker, examples, file=out, flush=True)


def example(marker, random):
    """An example that holds its lesson's marker in its codes, its source and, one in two, its picture."""
    data = marker.encode()
    codes = np.frombuffer((data * (FEATURES // len(data) + 1))[:FEATURES], np.int8)
    return NewExample(marker, codes, (data * (PICTURE_BYTES // len(data))) if random.rand() < 0.5 else None)


def settle(lessons, count, in_flight, forgotten):
    """How many lessons are not as acknowledged. What was going on may have been done or not, but whole."""
    if in_flight is not None:
        verb, markers, examples = in_flight
        if verb == "teach" and count.get(markers[0], 0) == examples:
            lessons[markers[0]] = examples
        elif verb == "forget" and not any(marker in count for marker in markers):
            forgotten += markers
            for marker in markers:
                lessons.pop(marker)
    return sum(lessons.get(marker, 0) != count.get(marker, 0) for marker in set(lessons) | set(count))


def bytes_in(folder):
    return b"".join(each.read_bytes() for each in folder.iterdir())


def cold_start(path):
    started = time.perf_counter()
    subprocess.check_output([sys.executable, "-c", ANSWER, str(path)])
    return (time.perf_counter() - started) * 1e3


def spread(values):
    return [round(float(each), 1) for each in np.percentile(values, [50, 95, 100])]


if __name__ == "__main__":
    main()
