"""A torch module -> its plan: torch.fx traces it, and every node finds its place or is named.

Batch norms are folded into the convolutions before them, zero padding into those after it, ReLU and ReLU6 into the
layer that they follow, and linear bottlenecks are turned (quantize/rotate.py). What cannot be planned is never silently
left in float.
"""

import operator
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Literal

import torch
from torch import fx, nn
from torch.nn import functional as F

from edge.contract.errors import GateError
from quantize.plan import INPUT, Add, AveragePool, Concat, Conv, Curve, Geometry, Layer, MaxPool, Mul, Plan
from quantize.rotate import rotate_bottlenecks

_NO_PADS = (0, 0, 0, 0)


def make_plan(network: nn.Module) -> Plan:
    """The plan of `network` in evaluation mode: its forward maps (N, C, H, W) to (features, logits).

    Raises GateError that names the first node that has no place in it, or a tensor that is not finite.
    """
    network = network.eval()
    for name, tensor in network.state_dict().items():
        if tensor.is_floating_point() and not tensor.isfinite().all():
            raise GateError(f"the weight {name} has a number that is not finite", "finite weights", "train again")
    try:
        graph = fx.symbolic_trace(network)
    except (fx.proxy.TraceError, TypeError, ValueError, RuntimeError) as error:
        raise GateError(
            f"torch.fx cannot trace the network: {error}", "a forward without control flow on values", "rewrite it"
        ) from None
    return rotate_bottlenecks(_Planner(graph).plan())


class _Planner:
    """Walks the traced graph once. `self.of` says which layer's tensor a node carries."""

    def __init__(self, graph: fx.GraphModule) -> None:
        self.graph = graph
        self.modules = dict(graph.named_modules())
        self.layers: dict[str, Layer] = {}
        self.of: dict[fx.Node, str] = {}
        self.pads: dict[fx.Node, tuple[int, int, int, int]] = {}  # of zero paddings that a convolution takes over
        self.flat: set[fx.Node] = set()  # (N, C) behind a flattened average pool
        self.linear: dict[fx.Node, nn.Linear] = {}

    def plan(self) -> Plan:
        for node in self.graph.graph.nodes:
            if node.op == "placeholder":
                self.of[node] = INPUT
            elif node.op == "output":
                return self._finish(node)
            else:
                self._step(node)
        raise GateError("a network without output", "(features, logits)", "return both from forward")

    def _step(self, node: fx.Node) -> None:
        module = self.modules.get(str(node.target)) if node.op == "call_module" else None
        kind = _kind(node, module)
        if kind == "pad":
            self._pad(node, module)
        elif kind == "conv" and isinstance(module, nn.Conv2d):
            source = _argument(node, 0)
            pads = self.pads.pop(source, _NO_PADS)
            self._put(node, _conv(node.name, self._tensor(node, 0), module, pads))
        elif kind == "norm" and isinstance(module, nn.BatchNorm2d):
            self._replace(node, lambda layer: _fold(layer, module, node.name))
        elif kind in ("relu", "relu6"):
            self._replace(node, lambda layer: _with_activation(layer, kind, node.name))
        elif kind in ("add", "mul"):
            pair = (self._tensor(node, 0), self._tensor(node, 1))
            self._put(node, Add(node.name, pair) if kind == "add" else Mul(node.name, pair))
        elif kind in ("hardswish", "hardsigmoid"):
            curve: Literal["hardswish", "hardsigmoid"] = "hardswish" if kind == "hardswish" else "hardsigmoid"
            self._put(node, Curve(node.name, (self._tensor(node, 0),), curve))
        elif kind == "pool":
            self._put(node, AveragePool(node.name, (self._tensor(node, 0),)))
            if node.op == "call_method" and node.kwargs.get("keepdim") is not True:
                self.flat.add(node)
        elif kind == "max":
            self._put(node, _max_pool(node, self._tensor(node, 0), module))
        elif kind == "concat":
            self._put(node, Concat(node.name, self._concatenated(node)))
        elif kind == "flatten":
            self._flatten(node)
        elif kind == "same":
            self._pass(node, _argument(node, 0))
        elif kind == "linear" and isinstance(module, nn.Linear) and _argument(node, 0) in self.flat:
            self.linear[node] = module
        else:
            raise _unplanned(node)

    def _tensor(self, node: fx.Node, index: int) -> str:
        return self._name(node, _argument(node, index))

    def _name(self, node: fx.Node, source: fx.Node) -> str:
        if source not in self.of or source in self.pads or source in self.flat:
            raise _unplanned(node)
        return self.of[source]

    def _put(self, node: fx.Node, layer: Layer) -> None:
        if INPUT in layer.sources and not isinstance(layer, Conv):
            raise GateError(f"{node.name} reads the pixels", "a convolution that does", "put one before")
        self.layers[layer.name] = layer
        self.of[node] = layer.name

    def _pass(self, node: fx.Node, source: fx.Node) -> None:
        if source not in self.of or source in self.pads:
            raise _unplanned(node)
        self.of[node] = self.of[source]
        if source in self.flat:
            self.flat.add(node)

    def _flatten(self, node: fx.Node) -> None:
        self._pass(node, _argument(node, 0))
        if not isinstance(self.layers.get(self.of[node]), AveragePool):
            raise _unplanned(node)
        self.flat.add(node)

    def _pad(self, node: fx.Node, module: nn.Module | None) -> None:
        """Zeros around a map that only convolutions read."""
        amount = module.padding if isinstance(module, nn.ZeroPad2d) else node.args[1]
        only_convolutions = all(
            user.op == "call_module" and isinstance(self.modules.get(str(user.target)), nn.Conv2d)
            for user in node.users
        )
        if not isinstance(amount, tuple) or len(amount) != 4 or not only_convolutions or len(node.users) != 1:
            raise _unplanned(node)
        left, right, top, bottom = (int(str(side)) for side in amount)
        self.of[node] = self._tensor(node, 0)
        self.pads[node] = (top, left, bottom, right)

    def _concatenated(self, node: fx.Node) -> tuple[str, ...]:
        parts, axis = node.args[0], node.args[1] if len(node.args) > 1 else node.kwargs.get("dim", 0)
        if not isinstance(parts, (tuple, list)) or axis not in (1, -3):
            raise _unplanned(node)
        return tuple(self._name(node, part) for part in parts if isinstance(part, fx.Node))

    def _replace(self, node: fx.Node, change: Callable[[Layer], Layer]) -> None:
        """A batch norm or activation becomes part of the layer before it, whose own output nobody else may read."""
        source = _argument(node, 0)
        name = self._name(node, source)
        if name not in self.layers or len(source.users) != 1:
            raise _unplanned(node)
        self.layers[name] = change(self.layers[name])
        self.of[node] = name

    def _finish(self, node: fx.Node) -> Plan:
        outputs = node.args[0] if isinstance(node.args[0], tuple) else ()
        features, logits = (*outputs, None, None)[:2]
        *layers, last = self.layers.values()
        if not (isinstance(features, fx.Node) and isinstance(logits, fx.Node) and logits in self.linear):
            raise _unplanned(node)
        read = _argument(logits, 0)
        if features not in self.flat or not isinstance(last, AveragePool) or last.name != self.of[features]:
            raise _unplanned(node)
        if self.of[read] != last.name or not layers or last.sources != (layers[-1].name,):
            raise _unplanned(node)
        classifier = self.linear[logits]
        bias = classifier.bias if classifier.bias is not None else torch.zeros(classifier.out_features)
        return Plan(tuple(layers), classifier.weight.detach().clone(), bias.detach().clone())


_FUNCTIONS: dict[Any, str] = {
    operator.add: "add",
    operator.iadd: "add",
    torch.add: "add",
    operator.mul: "mul",
    operator.imul: "mul",
    torch.mul: "mul",
    torch.relu: "relu",
    F.relu: "relu",
    F.relu6: "relu6",
    F.hardswish: "hardswish",
    F.hardsigmoid: "hardsigmoid",
    torch.flatten: "flatten",
    torch.cat: "concat",
    torch.concat: "concat",
    F.adaptive_avg_pool2d: "pool",
    F.pad: "pad",
}
_METHODS = {"flatten": "flatten", "relu": "relu", "add": "add", "mul": "mul"}
_MODULES: tuple[tuple[type[nn.Module] | tuple[type[nn.Module], ...], str], ...] = (
    (nn.Conv2d, "conv"),
    (nn.BatchNorm2d, "norm"),
    (nn.ReLU6, "relu6"),
    (nn.ReLU, "relu"),
    (nn.Hardswish, "hardswish"),
    (nn.Hardsigmoid, "hardsigmoid"),
    (nn.MaxPool2d, "max"),
    (nn.ZeroPad2d, "pad"),
    (nn.Linear, "linear"),
    (nn.Flatten, "flatten"),
    ((nn.Identity, nn.Dropout, nn.Dropout2d), "same"),
)


def _kind(node: fx.Node, module: nn.Module | None) -> str:
    if node.op == "call_function":
        known = _FUNCTIONS.get(node.target, "")
        if known == "pool" and node.args[1] not in (1, (1, 1)):
            return ""
        if known == "pad" and (len(node.args) > 2 or node.kwargs):  # a mode or a value
            return ""
        return known
    if node.op == "call_method":
        if node.target == "mean" and node.args[1:] in (((2, 3),), ((-2, -1),), ((-1, -2),), ([2, 3],)):
            return "pool"
        return _METHODS.get(str(node.target), "")
    if isinstance(module, nn.AdaptiveAvgPool2d):
        return "pool" if module.output_size in (1, (1, 1)) else ""
    return next((kind for types, kind in _MODULES if isinstance(module, types)), "")


def _argument(node: fx.Node, index: int) -> fx.Node:
    argument = node.args[index] if index < len(node.args) else None
    if not isinstance(argument, fx.Node):
        raise _unplanned(node)
    return argument


def _pair(value: Any) -> tuple[int, int]:
    return (int(value[0]), int(value[1])) if isinstance(value, (tuple, list)) else (int(value), int(value))


def _conv(name: str, source: str, module: nn.Conv2d, outer: tuple[int, int, int, int]) -> Conv:
    if module.padding_mode != "zeros":
        raise GateError(f"the convolution {name} pads with {module.padding_mode}", "zeros", "change the network")
    # PyTorch's own reading of "same": the odd pixel goes to the right and the bottom
    left, right, top, bottom = module._reversed_padding_repeated_twice
    pads = (top + outer[0], left + outer[1], bottom + outer[2], right + outer[3])
    weight = module.weight.detach().clone()
    bias = torch.zeros(module.out_channels) if module.bias is None else module.bias.detach().clone()
    geometry = Geometry(_pair(module.stride), pads, _pair(module.dilation), module.groups)
    return Conv(name, (source,), weight, bias, geometry)


def _max_pool(node: fx.Node, source: str, module: nn.Module | None) -> MaxPool:
    if not isinstance(module, nn.MaxPool2d) or module.ceil_mode or _pair(module.dilation) != (1, 1):
        raise _unplanned(node)
    high, wide = _pair(module.padding)
    return MaxPool(node.name, (source,), _pair(module.kernel_size), _pair(module.stride), (high, wide, high, wide))


def _fold(layer: Layer, norm: nn.BatchNorm2d, name: str) -> Conv:
    """The convolution with the batch norm's running statistics folded in, computed in float64."""
    if (
        not isinstance(layer, Conv)
        or layer.activation != "none"
        or norm.running_mean is None
        or norm.running_var is None
    ):
        raise GateError(f"the batch norm {name} follows no convolution", "one right before it", "change the network")
    deviation = torch.sqrt(norm.running_var.double() + norm.eps)
    gain = (norm.weight.detach().double() if norm.affine else torch.ones_like(deviation)) / deviation
    shift = norm.bias.detach().double() if norm.affine else torch.zeros_like(deviation)
    weight = layer.weight.double() * gain.view(-1, 1, 1, 1)
    bias = shift + (layer.bias.double() - norm.running_mean.double()) * gain
    return replace(layer, weight=weight.float(), bias=bias.float())


def _with_activation(layer: Layer, kind: str, name: str) -> Layer:
    if layer.activation != "none":
        raise GateError(f"{name} is a second activation of {layer.name}", "one", "change the network")
    if not isinstance(layer, (Conv, Add, Mul, AveragePool)):
        raise GateError(f"{name} follows {layer.name}", "a ReLU behind a convolution or a sum", "change the network")
    return replace(layer, activation="relu" if kind == "relu" else "relu6")


def _unplanned(node: fx.Node) -> GateError:
    return GateError(
        f"the node {node.name} ({node.op} {node.target}) cannot be quantized by this version",
        "convolution, batch norm, zero padding, ReLU, ReLU6, hard swish, hard sigmoid, add, multiply, concat, "
        "max pool, global average pool and one linear classifier",
        "change the network",
    )
