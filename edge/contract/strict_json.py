"""JSON from outside, stricter than its own rules."""

from typing import Any, Dict


def no_repeats(pairs: Any) -> Dict[str, Any]:
    """For json.loads as object_pairs_hook: a key that stands twice means two things to two readers. ValueError."""
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise ValueError("repeated key")
    return fields
