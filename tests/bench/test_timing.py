"""Interleaved timing, by a clock that only the engines move."""

import pytest

from bench.timing import interleave


class Engine:
    """Takes a known time, and notes its call."""

    def __init__(self, name: str, milliseconds: float, clock: "Clock", calls: list[str]) -> None:
        self.name, self.milliseconds, self.clock, self.calls = name, milliseconds, clock, calls

    def __call__(self) -> None:
        self.clock.now += int(self.milliseconds * self.clock.load * 1e6)
        self.calls.append(self.name)


class Clock:
    def __init__(self) -> None:
        self.now, self.load = 0, 1.0

    def __call__(self) -> int:
        return self.now


def engines(clock: Clock, calls: list[str], **times: float) -> dict[str, Engine]:
    return {name: Engine(name, ms, clock, calls) for name, ms in times.items()}


def test_blocks_come_in_turn_and_each_round_begins_with_the_next_engine() -> None:
    clock, calls = Clock(), []
    interleave(engines(clock, calls, a=1, b=2, c=3), "a", rounds=3, calls=2, warm_up=1, clock=clock)
    assert "".join(calls) == "aaabbbccc" + "bbbcccaaa" + "cccaaabbb"


def test_ratios_do_not_see_a_machine_that_slows_all_engines_alike() -> None:
    clock, calls = Clock(), []

    def busier(step: int, steps: int) -> None:
        clock.load = 1.0 + step

    found = interleave(engines(clock, calls, fp32=4, int8=2), "fp32", rounds=5, calls=3, clock=clock, progress=busier)
    assert found["int8"].ratio == found["int8"].low == found["int8"].high == pytest.approx(0.5)
    assert found["fp32"].ratio == 1
    assert found["fp32"].milliseconds == pytest.approx(12)


def test_calls_that_warm_up_do_not_count() -> None:
    clock, calls = Clock(), []
    made = engines(clock, calls, a=1)
    cold = [100.0]

    def engine() -> None:
        made["a"]()
        clock.now += int(cold.pop() * 1e6) if cold else 0

    found = interleave({"a": engine}, "a", rounds=2, calls=4, warm_up=1, clock=clock)
    assert found["a"].milliseconds == pytest.approx(1)
