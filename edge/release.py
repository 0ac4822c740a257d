"""An installed release folder: what runs on the board."""

import os
from typing import NamedTuple, Tuple

from edge.contract.errors import FormatError
from edge.contract.labels import parse_labels
from edge.contract.manifest import Manifest, parse_manifest


class Release(NamedTuple):
    path: str
    manifest: Manifest
    labels: Tuple[str, ...]

    def file(self, name: str) -> str:
        return os.path.join(self.path, name)

    def backbone(self, form: str = "u8") -> str:
        """What features depend on: the hash of the model file that makes them. form: of edge.contract.spec.FORMS."""
        return self.manifest.files["model.{}.onnx".format(form)].sha256


def open_release(path: str) -> Release:
    """The release in the folder `path`, verified when it was installed. Raises FormatError."""
    try:
        with open(os.path.join(path, "manifest.json"), "rb") as file:
            manifest = parse_manifest(file.read())
        with open(os.path.join(path, "labels.txt"), encoding="utf-8") as text:
            labels = parse_labels(text.read())
    except (OSError, UnicodeDecodeError) as error:
        raise FormatError("{}: {}".format(path, error), "an installed release", "flash it again") from None
    if len(labels) != manifest.model.classes:
        raise FormatError(
            "{} labels for {} classes in {}".format(len(labels), manifest.model.classes, path),
            "one each",
            "flash again",
        )
    return Release(path, manifest, labels)
