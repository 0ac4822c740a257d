"""What a model takes and gives: the one record that training, quantization, packing and the board share."""

import json
from typing import Any, Dict, NamedTuple

from edge.contract.errors import FormatError

FORMS = ("u8", "s8", "s8_identity", "float")  # model.u8.onnx and so on: docs/int8.md says what each is for


class ModelSpec(NamedTuple):
    """Input: uint8 (N, height, width, channels), BGR or grey, as a camera gives them.

    Outputs: `features` float32 (N, features) and `logits` float32 (N, classes).
    """

    network: str
    height: int
    width: int
    channels: int
    features: int
    classes: int


_LIMITS = {
    "height": (8, 4096),
    "width": (8, 4096),
    "channels": (1, 3),
    "features": (1, 8192),
    "classes": (2, 10000),
}


def spec_to_dict(spec: ModelSpec) -> Dict[str, Any]:
    return dict(spec._asdict())


def parse_spec(fields: Any) -> ModelSpec:
    """A ModelSpec from decoded JSON. Raises FormatError unless every field is there, typed and within bounds."""
    if not isinstance(fields, dict) or set(fields) != set(ModelSpec._fields):
        raise FormatError("a model spec with other fields", ", ".join(ModelSpec._fields), "make the file again")
    if not isinstance(fields["network"], str) or not fields["network"]:
        raise FormatError("a model spec without a network's name", "a name", "make the file again")
    for key, (low, high) in _LIMITS.items():
        value = fields[key]
        if type(value) is not int or not low <= value <= high:
            raise FormatError(
                "a model spec with {} = {!r}".format(key, value),
                "a whole number from {} to {}".format(low, high),
                "make the file again",
            )
    if fields["channels"] == 2:
        raise FormatError("a model spec with 2 channels", "1 or 3", "make the file again")
    return ModelSpec(**fields)


def spec_text(spec: ModelSpec) -> str:
    """The content of spec.json in a run folder."""
    return json.dumps(spec_to_dict(spec), indent=2, sort_keys=True) + "\n"


def parse_spec_text(text: str) -> ModelSpec:
    """The ModelSpec of a spec.json. Raises FormatError."""
    try:
        fields = json.loads(text)
    except ValueError:
        raise FormatError("spec.json is not JSON", "the file that `edgewise train` wrote", "train again") from None
    return parse_spec(fields)
