"""What a new release would set aside of what was learnt, said before anything is changed.

Features of one network mean nothing to another. An example whose picture was kept is put through the new network; one
without a picture cannot be, nor can a look, which was found by what the old network answered.
"""

import io
import os
from collections import Counter
from typing import NamedTuple, Optional, Tuple

import numpy as np

from edge.backbone import backbone_key
from edge.board import Board
from edge.choice import choose_engine
from edge.contract.errors import BoardError, FormatError
from edge.deep import deep_key
from edge.install import Source
from edge.recall import key_under
from edge.release import Release, open_release
from edge.rows import ExampleRow
from edge.store import Store, open_store


class Left(NamedTuple):
    """What counts with one network and would not with another."""

    examples: Tuple[ExampleRow, ...]
    look: Optional[str]
    deeper: bool  # whether a deeper pass is among it


def refuse_to_set_aside(board: Board, archive: Source) -> None:
    """Raises BoardError if installing `archive`, whose signature holds, would leave behind what this board has learnt.

    It says what, exactly. Without such a thing, it returns. Raises FormatError for a head.npz or store that is damaged.
    """
    path = board.path("personal", "learned.sqlite")
    if not os.path.exists(path) or not os.path.lexists(board.path("current")):
        return
    current = open_release(os.path.realpath(board.path("current")))
    form = choose_engine(board, current).kind.form
    before = _key(current, form)
    after = backbone_key(Release("", archive.manifest, ()).backbone(form), _step(_head(board, archive)))
    deeper = deep_key(current.manifest)
    with open_store(path) as store:
        left = left_behind(store, before, after, archive.manifest.model.channels)
        if deeper != deep_key(archive.manifest):
            left = left._replace(deeper=_is_retrained(store, current, before))
    if left.examples or left.look or left.deeper:
        raise BoardError(
            "{} would set aside {}: they belong to the network of {}".format(
                archive.release, _named(left), os.path.basename(current.path)
            ),
            "a release of the same network, or lessons taught with --keep-pictures",
            "flash with --set-aside to go on; `rollback` brings them back; `learned export` keeps a copy",
        )


def left_behind(store: Store, before: str, after: str, channels: int) -> Left:
    """What counts with the backbone `before` and would not with `after`, whose input has so many channels."""
    if before == after:
        return Left((), None, False)
    look = store.look(before)
    now = {row.id for row in store.examples(key_under(store, before, channels)) if row.used}
    then = store.examples(key_under(store, after, channels))
    lost = tuple(row for row in then if row.id in now and not row.used and not row.has_picture)
    return Left(lost, look.name if look is not None and store.look(after) is None else None, False)


def runs_retrained(board: Board) -> bool:
    """Whether a deeper pass on this board made the network that its current release runs."""
    path = board.path("personal", "learned.sqlite")
    if not os.path.exists(path) or not os.path.lexists(board.path("current")):
        return False
    current = open_release(os.path.realpath(board.path("current")))
    if deep_key(current.manifest) is None:
        return False
    with open_store(path) as store:
        return _is_retrained(store, current, _key(current, choose_engine(board, current).kind.form))


def left_by_form(board: Board, release: Release, before: str, after: str) -> str:
    """What counts under an engine of the form `before` and would not under `after`, in words, or nothing."""
    path = board.path("personal", "learned.sqlite")
    if before == after or not os.path.exists(path):
        return ""
    with open_store(path) as store:
        left = left_behind(store, _key(release, before), _key(release, after), release.manifest.model.channels)
    return _named(left)


def _is_retrained(store: Store, release: Release, backbone: str) -> bool:
    key, look = deep_key(release.manifest), key_under(store, backbone, release.manifest.model.channels).look
    return key is not None and store.deepened_in_force(key, look) is not None


def _key(release: Release, form: str) -> str:
    with open(release.file("head.npz"), "rb") as file:
        return backbone_key(release.backbone(form), _step(file.read()))


def _named(left: Left) -> str:
    parts = []
    if left.examples:
        labels = sorted(Counter(row.label for row in left.examples).items())
        counts = ", ".join("{} {}".format(label, count) for label, count in labels[:8])
        more = " and {} labels more".format(len(labels) - 8) if len(labels) > 8 else ""
        parts.append("{} examples without pictures ({}{})".format(len(left.examples), counts, more))
    if left.look:
        parts.append("the look {}".format(left.look))
    if left.deeper:
        parts.append("the deeper pass")
    return " and ".join(parts)


def _head(board: Board, archive: Source) -> bytes:
    """The new release's head.npz: in the archive, or on this board already."""
    if "head.npz" in archive.names:
        return b"".join(archive.pieces("head.npz"))
    with open(board.path("objects", archive.manifest.files["head.npz"].sha256), "rb") as file:
        return file.read()


def _step(data: bytes) -> np.ndarray:
    """The steps of the codes in a head.npz."""
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as file:
            return file["step"]
    except Exception as error:  # noqa: BLE001  numpy and zipfile raise a dozen kinds for a damaged file
        raise FormatError(
            "head.npz: {}".format(str(error).split("\n")[0]), "one that edgewise wrote", "pack the release again"
        ) from None
