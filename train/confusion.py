"""What is taken for what: a table of all classes, or of the pairs that are confused most where there are many."""

from collections.abc import Sequence
from html import escape

import numpy as np
from numpy.typing import NDArray

from train.page import note, table

_MOST_CLASSES, _MOST_PAIRS = 30, 20


def confusion(labels: Sequence[str], targets: NDArray[np.int64], answers: NDArray[np.int64], whose: str) -> str:
    """HTML. targets, answers: (N,) indices into the labels; whose: who gave them, as `the CPU file says`."""
    counts = np.zeros((len(labels), len(labels)), np.int64)
    np.add.at(counts, (targets, answers), 1)
    if len(labels) > _MOST_CLASSES:
        return _confused_pairs(labels, counts)
    heads = "".join(f'<th scope="col">{escape(label)}</th>' for label in labels)
    rows = []
    for i, label in enumerate(labels):
        total = max(1, int(counts[i].sum()))
        cells = "".join(_cell(int(n), int(n) / total, i == j) for j, n in enumerate(counts[i]))
        rows.append(f'<tr><th scope="row">{escape(label)}</th>{cells}</tr>')
    caption = f"Rows: what it is. Columns: what {escape(whose)}. Test pictures."
    head = f'<tr><th scope="col">is</th>{heads}</tr>'
    body = f"<caption>{caption}</caption><thead>{head}</thead><tbody>{''.join(rows)}</tbody>"
    return f'<div class="wide"><table class="confusion">{body}</table></div>'


def _cell(count: int, share: float, right: bool) -> str:
    kind = ' class="right"' if right else ""
    return f'<td{kind} style="background: rgba(var(--shade), {0.6 * share:.2f})">{count or ""}</td>'


def _confused_pairs(labels: Sequence[str], counts: NDArray[np.int64]) -> str:
    wrong = counts - np.diag(np.diag(counts))
    order = np.argsort(-wrong, axis=None, kind="stable")[:_MOST_PAIRS]
    pairs = [(int(i), int(j)) for i, j in zip(*np.unravel_index(order, wrong.shape), strict=True)]
    rows = [
        [("", labels[i]), ("", labels[j]), ("number", str(wrong[i, j])), ("number", str(counts[i].sum()))]
        for i, j in pairs
        if wrong[i, j]
    ]
    if not rows:
        return note("Every test picture is read right.")
    return table(["is", "taken for", "pictures", "of"], rows, f"The {len(rows)} most confused pairs.")
