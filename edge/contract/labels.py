"""What a class may be called: a printable name that survives a text file, a path, a terminal and a title bar."""

import unicodedata
from typing import Iterable, Tuple

from edge.contract.errors import FormatError, UsageError

MAX_CHARACTERS = 64
_FORBIDDEN = set("/\\")


def check_label(text: str) -> str:
    """The label in Unicode NFC without surrounding blanks. Raises UsageError if it cannot be a label."""
    label = unicodedata.normalize("NFC", text).strip()
    odd = [c for c in label if c in _FORBIDDEN or unicodedata.category(c) in ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")]
    if not label or len(label) > MAX_CHARACTERS or odd or label in (".", ".."):
        found = "the label {!a}".format(text)
        if odd:
            found += " holds {!a}".format(odd[0])
        raise UsageError(
            found,
            "1 to {} printable characters without / or \\".format(MAX_CHARACTERS),
            "choose another name",
        )
    return label


def labels_text(labels: Iterable[str]) -> str:
    """The content of labels.txt: a label a line, in the order of the model's outputs."""
    return "".join(label + "\n" for label in labels)


def parse_labels(text: str) -> Tuple[str, ...]:
    """The labels of labels.txt. Raises FormatError for an odd, empty or repeated one."""
    lines = text.split("\n")
    if not lines or lines[-1] != "":
        raise FormatError("labels.txt does not end with a line break", "a label a line", "make the file again")
    labels = tuple(lines[:-1])
    for label in labels:
        try:
            same = check_label(label) == label
        except UsageError:
            same = False
        if not same:
            raise FormatError("labels.txt has the line {!a}".format(label), "a plain label", "make the file again")
    if len(labels) < 2 or len(set(labels)) != len(labels):
        raise FormatError(
            "labels.txt has {} labels, {} of them different".format(len(labels), len(set(labels))),
            "at least two, none twice",
            "make the file again",
        )
    return labels
