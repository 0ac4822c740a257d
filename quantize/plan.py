"""A network as quantization sees it: integer convolutions and adds in order, each with its activation, then the head.

torch.fx traces any nn.Module whose forward gives (features, logits); batch norms are folded into the convolutions
before them, ReLU and ReLU6 into the layer that they follow. What cannot be planned is named, never silently in float.
"""

import operator
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
from torch import Tensor, fx, nn
from torch.nn import functional as F

from edge.contract.errors import GateError

Activation = Literal["none", "relu", "relu6"]
INPUT = "pixels"


@dataclass(frozen=True)
class Conv:
    name: str
    source: str
    weight: Tensor  # (out, in / groups, kernel, kernel) float32, batch norm folded in
    bias: Tensor  # (out,) float32
    stride: int
    padding: int
    groups: int
    activation: Activation = "none"


@dataclass(frozen=True)
class Add:
    name: str
    sources: tuple[str, str]
    activation: Activation = "none"


Layer = Conv | Add


@dataclass(frozen=True)
class Plan:
    """The layers in the order of execution; the mean over the last one's pixels is the features."""

    layers: tuple[Layer, ...]
    weight: Tensor  # (classes, features) float32: the classifier, which stays float
    bias: Tensor  # (classes,) float32

    @property
    def planned(self) -> dict[str, int]:
        """How many integer layers onnxruntime has to run, by the operator that runs them."""
        convs = sum(isinstance(layer, Conv) for layer in self.layers)
        return {"QLinearConv": convs, "QLinearAdd": len(self.layers) - convs}


def float_layer(layer: Layer, inputs: tuple[Tensor, ...]) -> Tensor:
    """The layer in float32, activation included."""
    if isinstance(layer, Conv):
        value = F.conv2d(inputs[0], layer.weight, layer.bias, layer.stride, layer.padding, 1, layer.groups)
    else:
        value = inputs[0] + inputs[1]
    return activate(value, layer.activation)


def activate(value: Tensor, activation: Activation) -> Tensor:
    if activation == "none":
        return value
    return F.relu(value) if activation == "relu" else F.relu6(value)


def sources(layer: Layer) -> tuple[str, ...]:
    return (layer.source,) if isinstance(layer, Conv) else layer.sources


def make_plan(network: nn.Module) -> Plan:
    """The plan of `network` in evaluation mode. Raises GateError that names the first node that has no place in it."""
    network = network.eval()
    try:
        graph = fx.symbolic_trace(network)
    except (fx.proxy.TraceError, TypeError) as error:
        raise GateError(
            f"torch.fx cannot trace the network: {error}", "a forward without control flow on values", "rewrite it"
        ) from None
    return _Planner(graph).plan()


class _Planner:
    """Walks the traced graph once. `self.of` says which layer's tensor a node carries."""

    def __init__(self, graph: fx.GraphModule) -> None:
        self.graph = graph
        self.modules = dict(graph.named_modules())
        self.layers: dict[str, Layer] = {}
        self.of: dict[fx.Node, str] = {}
        self.pooled: dict[fx.Node, str] = {}
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
        if kind == "conv" and isinstance(module, nn.Conv2d):
            self._put(node, _conv(node.name, self._tensor(node, 0), module))
        elif kind == "norm" and isinstance(module, nn.BatchNorm2d):
            self._replace(node, lambda layer: _fold(layer, module, node.name))
        elif kind in ("relu", "relu6"):
            self._replace(node, lambda layer: _with_activation(layer, kind, node.name))
        elif kind == "add":
            self._put(node, Add(node.name, (self._tensor(node, 0), self._tensor(node, 1))))
        elif kind == "pool":
            self.pooled[node] = self._tensor(node, 0)
        elif kind == "same" and _argument(node, 0) in self.of:
            self.of[node] = self.of[_argument(node, 0)]
        elif kind in ("same", "flatten") and _argument(node, 0) in self.pooled:
            self.pooled[node] = self.pooled[_argument(node, 0)]
        elif kind == "linear" and isinstance(module, nn.Linear) and _argument(node, 0) in self.pooled:
            self.linear[node] = module
            self.pooled[node] = self.pooled[_argument(node, 0)]
        else:
            raise _unplanned(node)

    def _tensor(self, node: fx.Node, index: int) -> str:
        source = _argument(node, index)
        if source not in self.of:
            raise _unplanned(node)
        return self.of[source]

    def _put(self, node: fx.Node, layer: Layer) -> None:
        self.layers[layer.name] = layer
        self.of[node] = layer.name

    def _replace(self, node: fx.Node, change: Callable[[Layer], Layer]) -> None:
        """A batch norm or activation becomes part of the layer before it, whose own output nobody else may read."""
        source = _argument(node, 0)
        name = self._tensor(node, 0)
        if name not in self.layers or len(source.users) != 1:
            raise _unplanned(node)
        self.layers[name] = change(self.layers[name])
        self.of[node] = name

    def _finish(self, node: fx.Node) -> Plan:
        outputs = node.args[0] if isinstance(node.args[0], tuple) else ()
        features, logits = (*outputs, None, None)[:2]
        layers = tuple(self.layers.values())
        if not (isinstance(features, fx.Node) and isinstance(logits, fx.Node) and logits in self.linear):
            raise _unplanned(node)
        if features in self.linear or self.pooled.get(features) != layers[-1].name:
            raise _unplanned(node)
        classifier = self.linear[logits]
        bias = classifier.bias if classifier.bias is not None else torch.zeros(classifier.out_features)
        return Plan(layers, classifier.weight.detach().clone(), bias.detach().clone())


_FUNCTIONS: dict[Any, str] = {
    operator.add: "add",
    operator.iadd: "add",
    torch.add: "add",
    torch.relu: "relu",
    F.relu: "relu",
    F.relu6: "relu6",
    torch.flatten: "flatten",
    F.adaptive_avg_pool2d: "pool",
}


def _kind(node: fx.Node, module: nn.Module | None) -> str:
    if node.op == "call_function":
        known = _FUNCTIONS.get(node.target, "")
        return known if known != "pool" or node.args[1] in (1, (1, 1)) else ""
    if node.op == "call_method":
        if node.target == "mean" and node.args[1:] in (((2, 3),), ((-2, -1),), ((-1, -2),)):
            return "pool"
        return {"flatten": "flatten", "relu": "relu", "add": "add"}.get(str(node.target), "")
    if isinstance(module, nn.AdaptiveAvgPool2d):
        return "pool" if module.output_size in (1, (1, 1)) else ""
    table: tuple[tuple[type[nn.Module] | tuple[type[nn.Module], ...], str], ...] = (
        (nn.Conv2d, "conv"),
        (nn.BatchNorm2d, "norm"),
        (nn.ReLU6, "relu6"),
        (nn.ReLU, "relu"),
        (nn.Linear, "linear"),
        (nn.Flatten, "flatten"),
        ((nn.Identity, nn.Dropout), "same"),
    )
    return next((kind for types, kind in table if isinstance(module, types)), "")


def _argument(node: fx.Node, index: int) -> fx.Node:
    argument = node.args[index] if index < len(node.args) else None
    if not isinstance(argument, fx.Node):
        raise _unplanned(node)
    return argument


def _conv(name: str, source: str, module: nn.Conv2d) -> Conv:
    kernel, stride, padding = module.kernel_size, module.stride, module.padding
    square = all(isinstance(v, tuple) and v[0] == v[1] for v in (kernel, stride, padding))
    if not square or module.dilation != (1, 1) or module.padding_mode != "zeros":
        raise GateError(
            f"the convolution {name} is {module}", "square, undilated and zero-padded", "change the network"
        )
    weight = module.weight.detach().clone()
    bias = torch.zeros(module.out_channels) if module.bias is None else module.bias.detach().clone()
    return Conv(name, source, weight, bias, int(stride[0]), int(padding[0]), module.groups)


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
    return replace(layer, activation="relu" if kind == "relu" else "relu6")


def _unplanned(node: fx.Node) -> GateError:
    return GateError(
        f"the node {node.name} ({node.op} {node.target}) cannot be quantized by this version",
        "convolution, batch norm, ReLU or ReLU6, add, global average pool and one linear classifier",
        "change the network",
    )
