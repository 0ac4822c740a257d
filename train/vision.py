"""The one door to torchvision: transforms v2, data sets and networks, also where its compiled operators do not load.

PyPI's torchvision is linked against CUDA, so that beside a CPU build of torch a plain import stops with "operator
torchvision::nms does not exist". Declaring the two operators first lets the Python parts load, which are all we use.
"""

import importlib
from typing import Any

import torch

_MISSING_OPERATORS = ("nms", "qnms")


def _load_torchvision() -> Any:
    """Returns what keeps the declarations alive: None where the plain import worked."""
    try:
        importlib.import_module("torchvision")
    except RuntimeError as error:
        if "operator torchvision::nms does not exist" not in str(error):
            raise
        declared = torch.library.Library("torchvision", "DEF")  # type: ignore[no-untyped-call]
        for operator in _MISSING_OPERATORS:
            schema = operator + "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
            declared.define(schema)  # type: ignore[no-untyped-call]
        importlib.import_module("torchvision")
        return declared
    return None


_DECLARED = _load_torchvision()

from torchvision import datasets, models  # noqa: E402
from torchvision.transforms import v2 as transforms  # noqa: E402

__all__ = ["datasets", "models", "transforms"]
