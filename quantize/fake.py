"""The plan with fake quantization: float arithmetic on values that lie on the integer grids, trainable."""

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor, nn

from edge.contract.errors import GateError, InputError
from quantize.grid import CODE_MAX, INPUT_SCALE, SHIFT, UNSIGNED_MAX, code_range
from quantize.lsq import mse_scale, quantize
from quantize.plan import (
    INPUT,
    Conv,
    Layer,
    Mover,
    Plan,
    combine,
    convolve,
    float_layer,
    last_uses,
    shared_grids,
    unsigned_tensors,
)

_SMALLEST_SCALE = 1e-5
_BIAS_STEPS = 1 << 22  # that a bias may have at most when its scale is set, half of what integers.py accepts
_CALIBRATION_VALUES = 1 << 16  # a tensor's values that its first scale is fitted to
_CALIBRATION_BATCH = 16  # pictures at once: a tensor of 96 x 112 x 112 takes 5 MB a picture

Calibration = Literal["mse", "percentile", "max"]
_PERCENTILE = 0.9999


class FakeQuant(nn.Module):
    """Every convolution's input, weight and bias and both inputs of every add are on their integer grid.

    `calibrate` must run once before the first forward. A scale belongs to the tensor that it quantizes; tensors that a
    max pool or a concat ties together share one. An unsigned tensor has 0 to 255 steps here, and -128 to 127 only in
    the integers: quantize/integers.py.
    """

    def __init__(self, plan: Plan) -> None:
        super().__init__()
        self.plan = plan
        self.grid = shared_grids(plan.layers)
        self.last_uses = last_uses(plan.layers)
        self.unsigned = unsigned_tensors(plan.layers)
        convs = [layer for layer in plan.layers if isinstance(layer, Conv)]
        self.weights = nn.ParameterDict({c.name: nn.Parameter(c.weight.clone()) for c in convs})
        self.biases = nn.ParameterDict({c.name: nn.Parameter(c.bias.clone()) for c in convs})
        self.weight_scales = nn.ParameterDict(
            {c.name: nn.Parameter(mse_scale(c.weight.flatten(1), -CODE_MAX, CODE_MAX).view(-1, 1, 1, 1)) for c in convs}
        )
        grids = dict.fromkeys(self.grid.values())
        self.scales = nn.ParameterDict({name: nn.Parameter(torch.tensor(1.0)) for name in grids if name != INPUT})
        self.classifier = nn.Linear(plan.weight.shape[1], plan.weight.shape[0])
        self.classifier.load_state_dict({"weight": plan.weight, "bias": plan.bias})

    def scale_of(self, tensor: str) -> Tensor:
        name = self.grid[tensor]
        scale: Tensor = torch.tensor(INPUT_SCALE) if name == INPUT else self.scales[name]
        return scale

    def shift_of(self, tensor: str) -> Tensor:
        """What is taken off the tensor's values before they are codes, as a scalar."""
        return self.scale_of(tensor).detach() * SHIFT if tensor in self.unsigned else torch.tensor(0.0)

    def steps(self, layer: Layer) -> tuple[int, int]:
        """The lowest and the highest step that the layer's output may have."""
        if layer.name in self.unsigned:
            return 0, UNSIGNED_MAX
        return code_range(layer.activation, self.scale_of(layer.name).item())

    def bias_scale(self, conv: Conv) -> Tensor:
        """(out,) float32: the grid of the bias and of the accumulator, the product as the ONNX files state it."""
        step: Tensor = self.scale_of(conv.sources[0]) * self.weight_scales[conv.name]
        return step.detach().view(-1)

    @torch.no_grad()
    def calibrate(
        self, pixels: Tensor, method: Calibration = "mse", progress: Callable[[int, int], None] | None = None
    ) -> None:
        """Sets every activation scale to the best for the float network's tensors on `pixels`.

        pixels: (N, C, H, W) float, (byte - 128) / 128. Raises InputError for pictures of one colour, GateError that
        names a tensor which is zero on all of them.
        """
        if pixels.min() == pixels.max():
            raise InputError("calibration pictures of one colour", "pictures that a camera would give", "give others")
        last = self.grid[self.plan.layers[-1].name]
        best: dict[str, Tensor] = {}
        for done, (layer, values) in enumerate(self._sampled(pixels), 1):
            name = self.grid[layer.name]
            if name == INPUT or isinstance(layer, Mover):
                continue
            if not values.any():
                raise GateError(
                    f"the output of {layer.name} is 0 on all {len(pixels)} calibration pictures",
                    "a tensor that some picture reaches",
                    "give pictures of another kind, or remove the layer",
                )
            low = 0 if layer.activation != "none" else -CODE_MAX - 1
            scale = _fit(values, low, UNSIGNED_MAX if layer.name in self.unsigned else CODE_MAX, method)
            best[name] = torch.maximum(best[name], scale) if name in best else scale
            if progress:
                progress(done, len(self.plan.layers))
        for name, scale in best.items():
            # a power of two makes the last pool's float sums exact, whatever their order
            self.scales[name].copy_(2.0 ** torch.round(torch.log2(scale)) if name == last else scale)
        self.bound_scales()

    def _sampled(self, pixels: Tensor) -> list[tuple[Layer, Tensor]]:
        """Every layer with a random sample of its float outputs, (n,).

        Not an even one: where its step is a multiple of the maps' width, it is of a few columns, as the left border.
        """
        batches = torch.split(pixels, _CALIBRATION_BATCH)
        generator = torch.Generator().manual_seed(0)
        samples: dict[str, list[Tensor]] = {layer.name: [] for layer in self.plan.layers}
        for batch in batches:
            values = {INPUT: batch}
            for layer in self.plan.layers:
                value = float_layer(layer, tuple(values[name] for name in layer.sources))
                flat = value.flatten()
                chosen = torch.randint(flat.numel(), (_CALIBRATION_VALUES // len(batches) + 1,), generator=generator)
                samples[layer.name].append(flat[chosen])
                values[layer.name] = value
                for name in self.last_uses.get(layer.name, ()):
                    del values[name]
        return [(layer, torch.cat(samples[layer.name])) for layer in self.plan.layers]

    @torch.no_grad()
    def bound_scales(self) -> None:
        """Keeps scales above 0, and coarse enough for biases: a dead channel's weights ask for a step of nothing.

        An unsigned ReLU6 keeps a scale whose last step is no more than 6, so that it needs no clip.
        """
        for scale in self.scales.values():
            scale.clamp_(min=_SMALLEST_SCALE)
        for layer in self.plan.layers:
            if layer.name in self.unsigned and layer.activation == "relu6":
                self.scale_of(layer.name).clamp_(max=6 / UNSIGNED_MAX)
            if isinstance(layer, Conv):
                bias = self.biases[layer.name] - self.shift_of(layer.name)
                smallest = bias.abs() / (self.scale_of(layer.sources[0]) * _BIAS_STEPS)
                scale = self.weight_scales[layer.name]
                scale.copy_(torch.maximum(scale, smallest.view(-1, 1, 1, 1).clamp_min(_SMALLEST_SCALE / CODE_MAX)))

    def scale_parameters(self) -> list[nn.Parameter]:
        """The scales to train: all but the last activation's, which stays a power of two."""
        last = self.grid[self.plan.layers[-1].name]
        return [*self.weight_scales.values(), *(s for name, s in self.scales.items() if name != last)]

    def weight_parameters(self) -> list[nn.Parameter]:
        """What is trained but for the scales: the classifier stays as FP32 has it, and stays float."""
        return [*self.weights.values(), *self.biases.values()]

    def weight_units(self) -> list[Tensor]:
        """Of each of weight_parameters, a step of the grid it works on: a weight's own, a bias's output's."""
        return [*self.weight_scales.values(), *(self.scale_of(name) for name in self.biases)]

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """pixels: (N, C, H, W) float, (byte - 128) / 128. Returns features (N, D) and logits (N, classes)."""
        values = {INPUT: pixels}
        for layer in self.plan.layers:
            values[layer.name] = self.layer(layer, tuple(values[name] for name in layer.sources))
            for name in self.last_uses.get(layer.name, ()):
                del values[name]
        features = values[self.plan.layers[-1].name].mean((2, 3))
        return features, self.classifier(features)

    def layer(self, layer: Layer, inputs: tuple[Tensor, ...]) -> Tensor:
        """The layer's output on its grid, from inputs on theirs."""
        if isinstance(layer, Mover):
            return combine(layer, inputs)
        value = self.convolve(layer, inputs[0]) if isinstance(layer, Conv) else combine(layer, inputs)
        return self.round_output(layer, value)

    def convolve(self, layer: Conv, value: Tensor) -> Tensor:
        """The convolution with weights and bias on their grids, before the activation."""
        weight = quantize(self.weights[layer.name], self.weight_scales[layer.name], -CODE_MAX, CODE_MAX)
        bias, step, shift = self.biases[layer.name], self.bias_scale(layer), self.shift_of(layer.name)
        bias = bias + (torch.round((bias - shift) / step) * step + shift - bias).detach()
        return convolve(layer.geometry, value, weight, bias)

    def round_output(self, layer: Layer, value: Tensor) -> Tensor:
        """Activation and rounding: the clamp to the codes' range is the activation."""
        return quantize(value, self.scale_of(layer.name), *self.steps(layer))


def _fit(values: Tensor, low: int, high: int, method: Calibration) -> Tensor:
    """A scale for values (n,), as a scalar, of steps from `low` to `high`."""
    if method == "mse":
        return mse_scale(values[None], low, high).view(())
    sizes = values.abs()
    largest = sizes.max() if method == "max" else torch.quantile(sizes, _PERCENTILE)
    return (largest if largest > 0 else sizes.max()) / high
