"""Fake quantization: exact forward, LSQ's gradient, and scales that start well."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from quantize.lsq import mse_scale, quantize


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 10_000), st.floats(1e-4, 10), st.sampled_from([(0, 127), (-128, 127), (-127, 127), (0, 90)]))
def test_what_comes_out_is_a_whole_number_of_scales_within_the_range(
    seed: int, scale: float, bounds: tuple[int, int]
) -> None:
    value = torch.randn(64, generator=torch.Generator().manual_seed(seed)) * scale * 100
    step = torch.tensor(scale)
    out = quantize(value, step, *bounds)
    codes = torch.clamp(torch.round(value / step), *bounds)
    assert torch.equal(out, codes * step)


def test_the_gradient_is_that_of_the_paper() -> None:
    value = torch.tensor([[-3.0, -0.6, 0.2, 0.9, 5.0]], requires_grad=True)
    scale = torch.tensor(0.5, requires_grad=True)
    quantize(value, scale, -2, 3).sum().backward()
    # arXiv 1902.08153, equation 3: inside, round(v/s) - v/s; outside, the bound; times 1 / sqrt(N Qp)
    inside = [round(v / 0.5) - v / 0.5 for v in (-0.6, 0.2, 0.9)]
    expected = (-2 + sum(inside) + 3) / (5 * 127) ** 0.5
    assert value.grad is not None and scale.grad is not None
    assert value.grad.tolist() == [[0, 1, 1, 1, 0]]
    torch.testing.assert_close(scale.grad, torch.tensor(expected))


def test_a_scale_for_each_channel_gets_that_channels_gradient() -> None:
    weight = torch.randn(3, 2, 3, 3, generator=torch.Generator().manual_seed(0))
    together = torch.full((3, 1, 1, 1), 0.05, requires_grad=True)
    quantize(weight, together, -127, 127).square().sum().backward()
    assert together.grad is not None
    for channel in range(3):
        alone = torch.full((1, 1, 1, 1), 0.05, requires_grad=True)
        quantize(weight[channel : channel + 1], alone, -127, 127).square().sum().backward()
        assert alone.grad is not None
        torch.testing.assert_close(together.grad[channel], alone.grad[0])


def test_the_first_scale_is_no_worse_than_covering_the_largest_value() -> None:
    values = torch.randn(4, 1000, generator=torch.Generator().manual_seed(1)) ** 3
    best = mse_scale(values, -7, 7)
    largest = values.abs().amax(1, keepdim=True) / 7

    def error(scale: torch.Tensor) -> torch.Tensor:
        return ((torch.clamp(torch.round(values / scale), -7, 7) * scale - values) ** 2).sum(1)

    assert (error(best) <= error(largest)).all()
    assert (error(best) < 0.9 * error(largest)).any()
