"""A quantized run opened as a board opens its release, straight from the run's folder."""

from pathlib import Path

from edge.backbone import Backbone, backbone_key
from edge.base import read_base
from edge.contract.errors import InputError
from edge.contract.labels import parse_labels
from edge.contract.spec import parse_spec_text
from edge.engine import Engine


def open_run(run: Path) -> Backbone:
    """The backbone in RUN/int8. Raises InputError if the run is not there, FormatError if it cannot be learnt with."""
    folder = run / "int8"
    if not (folder / "spec.json").exists():
        raise InputError(f"{folder} is missing", "a quantized run", "run scripts/int8_runs.py and learning_runs.py")
    spec = parse_spec_text((folder / "spec.json").read_text("utf-8"))
    labels = parse_labels((folder / "labels.txt").read_text("utf-8"))
    base = read_base(str(folder / "head.npz"), spec)
    engine = Engine(str(folder / "model.u8.onnx"))
    return Backbone(labels, spec, engine, base, backbone_key(str(run), base.step))
