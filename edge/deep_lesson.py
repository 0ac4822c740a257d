"""The lesson that retrains the network's last blocks on what was taught, or leaves everything as it was."""

import hashlib
from typing import Callable, NamedTuple

from edge.backbone import Backbone
from edge.base import base_bytes
from edge.contract.errors import InputError
from edge.deepen import Attempt, deepen
from edge.lessons import Learned, learned, utc
from edge.recall import code_latents, key_of, latent_key, look_in_force
from edge.rows import DeepenedRow
from edge.store import Store


class DeepenReport(NamedTuple):
    attempt: Attempt
    learned: Learned


def deepen_lesson(
    backbone: Backbone, store: Store, now_s: float, progress: Callable[[str, int, int], None]
) -> DeepenReport:
    """A deeper pass over all examples that count now, kept as a lesson if it is promoted.

    It starts from the release's weights each time, so the same examples give the same network. Raises InputError for a
    release without deep/ files, too few examples or one without latents; BoardError if one was forgotten meanwhile.
    """
    deep = backbone.deep
    if deep is None:
        raise InputError(
            "a release without deep/ files", "one of `edgewise quantize --deeper`", "quantize so, pack and flash it"
        )
    look = look_in_force(backbone, store)
    code_latents(backbone, store, look)
    rows = [row for row in store.examples(key_of(backbone, look)) if row.used]
    ready = {row.id for row in store.examples(latent_key(backbone, look)) if row.used}
    lacking = [row.id for row in rows if row.id not in ready]
    if lacking:
        raise InputError(
            "example {} was taught before this board could retrain, and no picture of it was kept".format(lacking[0]),
            "latents or a picture of each example",
            "forget it, or teach it again",
        )
    by_label = store.taught(latent_key(backbone, look), deep.latent_count)
    attempt = deepen(backbone, deep, {label: deep.shaped(codes) for label, codes in by_label.items()}, progress)
    if attempt.promoted:
        weights = attempt.weights.tobytes()
        tuned = hashlib.sha256(deep.key.encode("ascii") + weights).hexdigest()
        row = DeepenedRow(0, 0, deep.key, key_of(backbone, look).look, tuned, attempt.why, utc(now_s))
        store.add_deepened(row, weights, base_bytes(attempt.base), [each.id for each in rows])
    return DeepenReport(attempt, learned(backbone, store))
