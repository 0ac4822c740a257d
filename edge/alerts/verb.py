"""`alerts`: lists what was alerted of, and marks which of it was wanted."""

import argparse
import os

from edge.alerts.alerting import row_fields
from edge.alerts.rows import BY_RULE, AlertRow, AlertRows
from edge.board import Board
from edge.contract.errors import BoardError, InputError
from edge.contract.files import write_whole
from edge.contract.results import Outcome
from edge.verbs import open_learned

_MARKS = {True: "wanted", False: "not wanted", None: ""}


def alerts(board: Board, options: argparse.Namespace) -> Outcome:
    """Marks first, then the list. Raises InputError for a number that is not there, BoardError for nothing to undo."""
    with open_learned(board) as store:
        rows = store.alerts()
        marks = [(alert, wanted) for wanted in (True, False) for alert in (options.unwanted, options.wanted)[wanted]]
        unknown = sorted({alert for alert, _ in marks} - {row.id for row in rows.all()})
        if unknown:
            raise InputError("no alert {}".format(unknown[0]), "one that `edgewise alerts` lists", "check its number")
        for alert, wanted in marks:
            rows.mark(alert, wanted)
        if options.undo and rows.take_back() is None:
            raise BoardError("no alert is marked", "a mark to take back", "nothing to undo")
        found = rows.all()
        if options.out:
            _write_pictures(rows, found, options.out)
    lines = [_line(row) for row in found]
    return Outcome(tuple(lines) or ("nothing was alerted of",), {"alerts": [row_fields(row) for row in found]})


def _line(row: AlertRow) -> str:
    words = [row.how] * (row.how != BY_RULE) + [_MARKS[row.wanted]] * (row.wanted is not None)
    line = "{:>5}  {}  {} {:.2f}  {}  ({})".format(row.id, row.taken, row.label, row.score, row.source, row.rule)
    return line + "".join("  " + word for word in words)


def _write_pictures(rows: AlertRows, found: list, folder: str) -> None:
    """Each picture that was kept, by its alert's number. Raises BoardError."""
    try:
        os.makedirs(folder, exist_ok=True)
        for row in (row for row in found if row.has_picture):
            write_whole(os.path.join(folder, "{}.jpg".format(row.id)), rows.picture(row.id))
    except OSError as error:
        raise BoardError("{}: {}".format(folder, error.strerror), "a folder to write to", "name another") from None
