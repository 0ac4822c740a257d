"""The plan with fake quantization: float arithmetic on values that lie on the integer grids, trainable."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from quantize.lsq import CODE_MAX, INPUT_SCALE, mse_scale, quantize
from quantize.plan import INPUT, Activation, Conv, Layer, Plan, activate, sources

_SMALLEST_SCALE = 1e-5
_BIAS_STEPS = 1 << 22  # that a bias may have at most when its scale is set, a quarter of what integers.py accepts
_CALIBRATION_VALUES = 1 << 18  # a tensor's values that its first scale is fitted to


def code_range(activation: Activation, scale: float) -> tuple[int, int]:
    """Lowest and highest code of a tensor behind `activation`: int8 with zero point 0."""
    if activation == "none":
        return -CODE_MAX - 1, CODE_MAX
    return 0, CODE_MAX if activation == "relu" else min(CODE_MAX, round(6 / scale))


class FakeQuant(nn.Module):
    """Every convolution's input, weight and bias and both inputs of every add are on their integer grid.

    `calibrate` must run once before the first forward. A scale belongs to the tensor that it quantizes, so the two
    inputs of an add each have their own.
    """

    def __init__(self, plan: Plan) -> None:
        super().__init__()
        self.plan = plan
        convs = [layer for layer in plan.layers if isinstance(layer, Conv)]
        self.weights = nn.ParameterDict({c.name: nn.Parameter(c.weight.clone()) for c in convs})
        self.biases = nn.ParameterDict({c.name: nn.Parameter(c.bias.clone()) for c in convs})
        self.weight_scales = nn.ParameterDict(
            {c.name: nn.Parameter(mse_scale(c.weight.flatten(1), -CODE_MAX, CODE_MAX).view(-1, 1, 1, 1)) for c in convs}
        )
        self.scales = nn.ParameterDict({layer.name: nn.Parameter(torch.tensor(1.0)) for layer in plan.layers})
        self.classifier = nn.Linear(plan.weight.shape[1], plan.weight.shape[0])
        self.classifier.load_state_dict({"weight": plan.weight, "bias": plan.bias})

    def scale_of(self, tensor: str) -> Tensor:
        scale: Tensor = torch.tensor(INPUT_SCALE) if tensor == INPUT else self.scales[tensor]
        return scale

    def bias_scale(self, conv: Conv) -> Tensor:
        """(out,) float32: the grid of the bias and of the accumulator, the product as the ONNX files state it."""
        step: Tensor = self.scale_of(conv.source) * self.weight_scales[conv.name]
        return step.detach().view(-1)

    @torch.no_grad()
    def calibrate(self, pixels: Tensor) -> None:
        """Sets every activation scale to the best for `pixels` (N, C, H, W) float, layer by layer."""
        values = {INPUT: pixels}
        for layer in self.plan.layers:
            value = activate(self._linear(layer, values), layer.activation)
            low, _ = code_range(layer.activation, 1.0)
            flat = value.flatten()
            flat = flat[:: max(1, flat.numel() // _CALIBRATION_VALUES)]
            scale = mse_scale(flat[None], low, CODE_MAX).view(())
            if layer is self.plan.layers[-1]:  # the pool's float sums are then exact, whatever their order
                scale = 2.0 ** torch.round(torch.log2(scale))
            self.scales[layer.name].copy_(scale)
            values[layer.name] = self._quantized(layer, value)
        self.bound_scales()

    @torch.no_grad()
    def bound_scales(self) -> None:
        """Keeps scales above 0, and coarse enough for biases: a dead channel's weights ask for a step of nothing."""
        for scale in self.scales.values():
            scale.clamp_(min=_SMALLEST_SCALE)
        for layer in self.plan.layers:
            if isinstance(layer, Conv):
                smallest = self.biases[layer.name].abs() / (self.scale_of(layer.source) * _BIAS_STEPS)
                scale = self.weight_scales[layer.name]
                scale.copy_(torch.maximum(scale, smallest.view(-1, 1, 1, 1).clamp_min(_SMALLEST_SCALE / CODE_MAX)))

    def scale_parameters(self) -> list[nn.Parameter]:
        """The scales to train: all but the last activation's, which stays a power of two."""
        last = self.plan.layers[-1].name
        return [*self.weight_scales.values(), *(s for name, s in self.scales.items() if name != last)]

    def weight_parameters(self) -> list[nn.Parameter]:
        return [*self.weights.values(), *self.biases.values(), *self.classifier.parameters()]

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """pixels: (N, C, H, W) float, (byte - 128) / 128. Returns features (N, D) and logits (N, classes)."""
        values = {INPUT: pixels}
        for layer in self.plan.layers:
            values[layer.name] = self._quantized(layer, self._linear(layer, values))
        features = values[self.plan.layers[-1].name].mean((2, 3))
        return features, self.classifier(features)

    def _linear(self, layer: Layer, values: dict[str, Tensor]) -> Tensor:
        inputs = [values[name] for name in sources(layer)]
        if not isinstance(layer, Conv):
            return inputs[0] + inputs[1]
        weight = quantize(self.weights[layer.name], self.weight_scales[layer.name], -CODE_MAX, CODE_MAX)
        bias, step = self.biases[layer.name], self.bias_scale(layer)
        bias = bias + (torch.round(bias / step) * step - bias).detach()
        return F.conv2d(inputs[0], weight, bias, layer.stride, layer.padding, 1, layer.groups)

    def _quantized(self, layer: Layer, value: Tensor) -> Tensor:
        scale = self.scales[layer.name]
        low, high = code_range(layer.activation, scale.item())
        return quantize(value, scale, low, high)
