"""Mutated releases: a few hundred of the 20,000 that `edgewise bench flash` makes."""

import random
import shutil
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.fuzz import footprint, good_release, judge, running
from bench.mutations import MUTATIONS
from edge.contract.errors import EdgewiseError

GOOD = good_release()


@settings(max_examples=150, deadline=None)
@given(mutate=st.sampled_from(MUTATIONS), seed=st.integers(0, 1 << 32))
def test_a_mutated_release_is_refused_in_one_line_or_is_the_same_release(tmp_path_factory, mutate, seed) -> None:
    folder = tmp_path_factory.mktemp("mutated")
    board = running(GOOD, folder / "board")
    path = folder / "mutated.edge"
    path.write_bytes(mutate(GOOD, random.Random(seed)))
    assert judge(board, path, GOOD, footprint(board)) in ("refused", "same")
    shutil.rmtree(folder)


@pytest.mark.parametrize("mutate", MUTATIONS)
def test_every_kind_of_mutation_is_refused_nearly_always(tmp_path: Path, mutate) -> None:
    """Else it would mutate nothing that counts."""
    board = running(GOOD, tmp_path / "board")
    before, verdicts = footprint(board), []
    for seed in range(10):
        path = tmp_path / "mutated.edge"
        path.write_bytes(mutate(GOOD, random.Random(seed)))
        verdicts.append(judge(board, path, GOOD, before))
        if verdicts[-1] == "same":
            shutil.rmtree(board.root)
            board = running(GOOD, tmp_path / "board")
            before = footprint(board)
    assert verdicts.count("refused") >= 5


def test_the_release_itself_is_taken_and_seen_to_be_the_same(tmp_path: Path) -> None:
    board = running(GOOD, tmp_path / "board")
    path = tmp_path / "good.edge"
    path.write_bytes(GOOD.archive)
    assert judge(board, path, GOOD, footprint(board)) == "same"


def test_a_crash_a_change_and_a_line_too_many_are_seen(tmp_path: Path, monkeypatch) -> None:
    board = running(GOOD, tmp_path / "board")
    before = footprint(board)

    def fails(error: Exception, change: bool = False) -> str:
        def install(*arguments: object) -> None:
            if change:
                Path(board.path("objects", "more")).write_bytes(b"")
            raise error

        monkeypatch.setattr("bench.fuzz.install", install)
        return judge(board, tmp_path / "any.edge", GOOD, before)

    assert fails(EdgewiseError("found", "expected", "do")) == "refused"
    assert "KeyError" in fails(KeyError("head"))
    assert "line" in fails(EdgewiseError("one\ntwo", "one line", "none"))
    assert "changed" in fails(EdgewiseError("found", "expected", "do"), change=True)
