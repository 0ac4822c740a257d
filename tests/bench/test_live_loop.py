"""What the bench tells of a live stream: a real camera over HTTP, a loop that only looks."""

from types import SimpleNamespace
from typing import Any

import pytest

from bench.live_loop import frame_ages
from edge.contract.results import Prediction


def test_an_age_is_told_by_what_it_is_made_of() -> None:
    seen = Prediction("cup", 1.0, (("cup", 1.0),), False, 0.0, 2.0)
    looking: Any = SimpleNamespace(prepare=lambda image: image, classify_prepared=lambda pixels: seen)
    ages = frame_ages(looking, rate=30, consumed=20, seconds=1.0)
    assert ages.count == 20 and set(ages.stages) == {"read", "prepare", "infer", "wait"}
    assert ages.stages["infer"] == pytest.approx((2.0, 2.0))
    assert 2.0 < ages.median_pass < ages.p99 + 2.0 and ages.p99 <= ages.p99_made + 1.0
    assert ages.stolen >= 0.0 and ages.stolen_usually >= 0.0
