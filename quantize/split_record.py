"""What was split, as report.json says it, and the plan that follows from what it says."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.contract.errors import FormatError
from quantize.integers import IntegerConv, Integers
from quantize.plan import Conv, Plan
from quantize.reference import layer_codes
from quantize.split import Split, split_channels


def split_record(whole: Plan, splits: Sequence[Split], integers: Integers, pixels: NDArray[np.uint8]) -> dict[str, Any]:
    """report.json's `splits`: what was split of the plan `whole`, and the multiply-adds of a picture that it costs."""
    sizes = {layer.name: layer.weight.numel() for layer in whole.layers if isinstance(layer, Conv)}
    shapes = {name: codes.shape for name, codes in layer_codes(integers, pixels[:1])}
    more = {x.name: x.weight.size - sizes[x.name] for x in integers.layers if isinstance(x, IntegerConv)}
    added = sum(int(np.prod(shapes[name][2:])) * weights for name, weights in more.items())
    tensors = [{"tensor": x.tensor, "channels": list(x.channels), "divided": x.divided} for x in splits]
    return {"channels": sum(len(x.channels) for x in splits), "multiply_adds": added, "tensors": tensors}


def read_splits(report: Mapping[str, Any]) -> tuple[Split, ...]:
    """Of report.json's content; none where it names none. Raises FormatError."""
    try:
        rows = report["splits"]["tensors"] if "splits" in report else []
        return tuple(Split(str(x["tensor"]), tuple(map(int, x["channels"])), x["divided"] is True) for x in rows)
    except (KeyError, TypeError, ValueError):
        raise _refused("no list of tensors and channels") from None


def split_as_read(whole: Plan, splits: Sequence[Split], integers: Integers) -> Plan:
    """`whole` split. Raises FormatError unless it has the shapes of the files' `integers` then."""
    try:
        plan = split_channels(whole, splits)
    except (KeyError, IndexError, ValueError) as error:
        raise _refused(str(error)) from None
    convs = {layer.name: tuple(layer.weight.shape) for layer in plan.layers if isinstance(layer, Conv)}
    for layer in integers.layers:
        if isinstance(layer, IntegerConv) and layer.weight.shape != convs.get(layer.name):
            raise _refused(
                f"{layer.name} has weights of {layer.weight.shape} in the files, {convs.get(layer.name)} by it"
            )
    return plan


def _refused(found: str) -> FormatError:
    return FormatError(f"report.json's splits: {found}", "what the model files hold", "quantize the run again")
