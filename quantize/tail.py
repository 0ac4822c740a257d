"""The last blocks of a network, which a board may retrain: where they begin, and their weights as one float vector."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from edge.contract.errors import InputError
from edge.contract.spec import ModelSpec
from quantize.integers import Float32, IntegerConv, IntegerLayer, Integers, borders, counted_from
from quantize.plan import Add
from quantize.reference import layer_codes

SPARE = 16  # classes beyond the network's own that one pass can take
_MOST_ADDS = 48_000_000  # multiply-adds a picture: with its last block EfficientNet-Lite0 has 51 million, without 20
_MOST_SHARE = 0.6  # of the network's multiply-adds: what is general stays as it is
_MOST_LATENT_BYTES = 1 << 15
_STEP_ADDS = 200_000_000  # of the forward half of a step, which sets how many pictures it takes
_BATCHES = (8, 128)


@dataclass(frozen=True)
class Tail:
    """The layers behind the tensor `cut`, which is all that they read of the rest."""

    cut: str
    scale: np.float32  # of its codes
    shape: tuple[int, int, int]  # of its codes for one picture: (C, H, W)
    pixels: int  # that the features are the mean over
    layers: tuple[IntegerLayer, ...]  # convolutions and additions, of tensors counted from `zeros`
    scales: dict[str, np.float32]
    zeros: dict[str, int]  # by tensor, the code of 0, where that is not 0
    weight: Float32  # (classes, features): the classifier
    bias: Float32  # (classes,)
    batch: int  # pictures in a step

    @property
    def slots(self) -> int:
        """Columns of the classifier that is trained: the network's classes, then the spare ones."""
        return len(self.bias) + SPARE


@dataclass(frozen=True)
class Parameter:
    """A part of the flat vector of weights: its name in the graph, and where it starts."""

    name: str
    start: int
    value: Float32  # before any pass; its shape is the parameter's

    @property
    def end(self) -> int:
        return self.start + self.value.size


def find_tail(integers: Integers, spec: ModelSpec) -> Tail:
    """The longest tail that a small board can train. Raises InputError for a network that has none."""
    picture = np.zeros((1, spec.height, spec.width, spec.channels), np.uint8)
    shapes = {name: tuple(codes.shape[1:]) for name, codes in layer_codes(integers, picture)}
    adds = [_multiply_adds(layer, shapes) for layer in integers.layers]
    for start in range(1, len(integers.layers)):
        layers, cost = integers.layers[start:], sum(adds[start:])
        read = {source for layer in layers for source in layer.sources} - {layer.name for layer in layers}
        affordable = 0 < cost <= min(_MOST_ADDS, _MOST_SHARE * sum(adds))
        if len(read) == 1 and affordable and all(_trainable(layer, read) for layer in layers):
            (cut,) = read
            if cut == integers.layers[start - 1].name and np.prod(shapes[cut]) <= _MOST_LATENT_BYTES:
                channels, height, width = shapes[cut]
                few, many = _BATCHES
                batch = min(many, max(few, _STEP_ADDS // cost))
                pixels = int(np.prod(shapes[layers[-1].name][1:]))
                scales = {name: integers.scales[name] for name in (layer.name for layer in layers)}
                zeros = borders(layers)
                return Tail(
                    cut,
                    integers.scales[cut],
                    (channels, height, width),
                    pixels,
                    tuple(_counted(layer, zeros) for layer in layers),
                    scales,
                    zeros,
                    integers.weight,
                    integers.bias,
                    batch,
                )
    raise InputError(
        f"no last blocks of {spec.network} that a board could retrain",
        f"convolutions and additions behind one tensor, of at most {_MOST_ADDS:,} multiply-adds a picture",
        "leave out --deeper, or choose efficientnet-lite0 or mobilenet_v2",
    )


def parameters(tail: Tail) -> list[Parameter]:
    """What a step trains, in the order of the flat vector: biases, weights that mix channels, the classifier."""
    found: list[Parameter] = []
    for name, value in _values(tail):
        found.append(Parameter(name, found[-1].end if found else 0, value))
    return found


def flat(tail: Tail) -> Float32:
    """(P,): all parameters before any pass."""
    return np.concatenate([parameter.value.ravel() for parameter in parameters(tail)])


def is_depthwise(layer: IntegerConv) -> bool:
    """A filter a channel: a hundredth of the weights and half of a step's time, so they stay as they are."""
    return layer.geometry.groups > 1


def float_weight(layer: IntegerConv) -> Float32:
    """(out, in / groups, kernel, kernel): what the codes stand for."""
    return layer.weight.astype(np.float32) * layer.weight_scale.reshape(-1, 1, 1, 1)


def _counted(layer: IntegerLayer, zeros: dict[str, int]) -> IntegerLayer:
    return counted_from(layer, zeros.get(layer.sources[0], 0)) if isinstance(layer, IntegerConv) else layer


def _values(tail: Tail) -> Iterator[tuple[str, Float32]]:
    for layer in tail.layers:
        if isinstance(layer, IntegerConv):
            if not is_depthwise(layer):
                yield layer.name + ".weight", float_weight(layer)
            zero = tail.zeros.get(layer.name, 0) * tail.scales[layer.name]
            yield layer.name + ".bias", (layer.bias.astype(np.float32) * layer.bias_scale - zero).astype(np.float32)
    spare = tail.slots - len(tail.bias)
    yield "classifier.weight", np.pad(tail.weight, ((0, spare), (0, 0))).astype(np.float32)
    yield "classifier.bias", np.pad(tail.bias, (0, spare)).astype(np.float32)


def _trainable(layer: IntegerLayer, first: set[str]) -> bool:
    """Whether quantize.step can differentiate it in a tail that reads `first`."""
    if not isinstance(layer, IntegerConv):
        return isinstance(layer, Add)
    geometry, inputs = layer.geometry, layer.weight.shape[1]
    mixes = geometry.groups == 1 and (geometry.stride == (1, 1) or layer.sources[0] in first)
    depthwise = geometry.groups == len(layer.weight) and inputs == 1 and geometry.stride == (1, 1)
    return geometry.dilation == (1, 1) and (mixes or depthwise)


def _multiply_adds(layer: IntegerLayer, shapes: dict[str, tuple[int, ...]]) -> int:
    return int(np.prod(shapes[layer.name][1:])) * layer.weight.size if isinstance(layer, IntegerConv) else 0
