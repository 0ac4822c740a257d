"""What the board says of a frame."""

from typing import Any, Dict, NamedTuple, Tuple

BUSY = "a release is being installed, or gone back from, right now"
RETRAINED = (
    "the network's last blocks were retrained on this board: they run in float,"
    " and the release's certificate and golden vectors are not about them"
)


class Prediction(NamedTuple):
    """What the model says of one picture."""

    label: str
    score: float  # probability of `label`, 0 to 1
    top: Tuple[Tuple[str, float], ...]  # up to five (label, probability), best first
    unknown: bool  # unlike everything known, so that `label` is only the nearest
    prepare_ms: float  # crop, resize and look
    infer_ms: float  # network and head


class FrameResult(NamedTuple):
    """One classified frame. Times are monotonic nanoseconds or durations in milliseconds."""

    sequence: int  # of the frame at its source, from 0; gaps are frames that a newer one replaced
    captured_ns: int  # monotonic clock when the frame was read
    label: str
    score: float  # probability of `label`, 0 to 1
    top: Tuple[Tuple[str, float], ...]  # up to five (label, probability), best first
    unknown: bool  # unlike everything known, so that `label` is only the nearest
    age_ms: float  # from capture to result
    prepare_ms: float
    infer_ms: float
    source: str = ""  # as it was named, without its password
    read_ms: float = 0.0  # from capture to the picture being here: decoding, and the way out of the reader's process
    sure: bool = True  # whether `score` reaches the least that was asked for
    reused: bool = False  # nothing moved, so this is the last answer again


class SourceState(NamedTuple):
    """What a source gives instead of results, or that it gives them again. No label goes with it."""

    source: str
    state: str  # live, lost, stale (no new frame), frozen (the same bytes) or black
    why: str  # a line for a person; empty for live
    tries: int  # to open it, or frames that were looked at, in this state: it rises for as long as that goes on
    frames_per_second: float = 0.0  # of a live one


def result_to_dict(result: FrameResult) -> Dict[str, Any]:
    """The JSON form: a line of `edgewise run --json`."""
    fields = dict(result._asdict())
    fields["top"] = [{"label": label, "score": round(score, 6)} for label, score in result.top]
    fields["score"] = round(result.score, 6)
    for key in ("age_ms", "prepare_ms", "infer_ms", "read_ms"):
        fields[key] = round(fields[key], 3)
    return fields


def answer(result: FrameResult) -> str:
    """What a person is told: the label, or that it is unknown or not sure enough, and what comes nearest."""
    if result.unknown:
        return "unknown ({}?)".format(result.label)
    return result.label if result.sure else "unsure ({}?)".format(result.label)


class Outcome(NamedTuple):
    """What a verb did: lines for a person, fields for --json. exit_code 1: it is done, and found something wrong."""

    lines: Tuple[str, ...]
    fields: Dict[str, Any]
    exit_code: int = 0
