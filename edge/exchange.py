"""What a board has learnt, out to one file and in from one."""

from collections import Counter
from typing import NamedTuple, Tuple

from edge.backbone import Backbone
from edge.contract.errors import FormatError, InputError
from edge.learned_file import learned_bytes, parse_learned
from edge.lessons import Learned, examples_of, learned
from edge.look import look_sizes
from edge.preprocess import decode_bytes
from edge.rows import WholeExample
from edge.store import Store


class ImportReport(NamedTuple):
    ids: Tuple[int, ...]  # of the examples that are new here
    passed_over: int  # examples that were here already
    looks: Tuple[str, ...]  # added, oldest first
    learned: Learned


def export_learned(backbone: Backbone, store: Store) -> bytes:
    """Everything in `store`, of every release, as the content of a .learned file (docs/package-format.md)."""
    return learned_bytes([store.whole(row.id) for row in examples_of(backbone, store)], store.looks())


def import_learned(backbone: Backbone, store: Store, data: bytes) -> ImportReport:
    """Adds what is in `data`, the content of a .learned file, as one lesson: all of it, or nothing.

    An example that is here already (the same label, person, time and source) is passed over, so that importing twice
    changes nothing. The looks come only where this board has none for their network: a look belongs to a camera.
    Raises FormatError, and changes nothing, for a file that is damaged or does not fit this release's network.
    """
    found = parse_learned(data)
    here = Counter((row.label, row.person, row.taken, row.source) for row in examples_of(backbone, store))
    new = []
    for example in found.examples:
        identity = (example.label, example.person, example.taken, example.source)
        if here[identity] > 0:
            here[identity] -= 1
        else:
            _check(backbone, example)
            new.append(example)
    own = {row.backbone for row in store.looks()}
    looks = [look for look in found.looks if look.backbone not in own]
    if any(
        look.backbone == backbone.key and len(look.table) not in look_sizes(backbone.spec.channels) for look in looks
    ):
        raise _bad("a look of another number of channels", str(backbone.spec.channels))
    ids = store.add_whole(new, looks) if new or looks else []
    names = tuple(look.name for look in looks)
    return ImportReport(tuple(ids), len(found.examples) - len(new), names, learned(backbone, store))


def _check(backbone: Backbone, example: WholeExample) -> None:
    expected = {backbone.key: backbone.spec.features}
    if backbone.deep is not None:
        expected[backbone.deep.body_key] = backbone.deep.latent_count
    for key, values in example.codes:
        if len(values) != expected.get(key.backbone, len(values)):
            raise _bad("{} codes of an example".format(len(values)), str(expected[key.backbone]))
    if example.picture is not None:
        try:
            decode_bytes(example.picture, "a picture of {}".format(example.label))
        except InputError as error:
            raise _bad(error.found, error.expected) from None


def _bad(found: str, expected: str) -> FormatError:
    return FormatError("the learned file has " + found, expected, "nothing was changed; export it again")
