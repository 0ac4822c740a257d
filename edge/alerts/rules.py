"""Alert rules: which answer, how sure, for how long and of which source calls for a person."""

import re
from typing import Iterable, List, NamedTuple, Sequence

from edge.contract.errors import UsageError
from edge.contract.results import FrameResult
from edge.sources import find_feed

UNKNOWN = "unknown"  # in a label's place: what is unlike everything known
_FORM = "LABEL[,score=SHARE][,for=SECONDS][,source=NAME]"
_MOST_BYTES = 65536  # of a file of rules


class Rule(NamedTuple):
    text: str  # as it was written, by which it is known from run to run
    label: str
    score: float = 0.0  # at least
    for_s: float = 0.0
    source: str = ""  # the name of its feed; any, if empty

    def fits(self, result: FrameResult) -> bool:
        """Whether a frame's result is what the rule waits for, but for how long."""
        if self.source not in ("", result.source):
            return False
        if self.label == UNKNOWN:
            return result.unknown
        is_said = result.label == self.label and result.sure and not result.unknown
        return is_said and result.score >= self.score


def parse_rules(texts: Sequence[str], labels: Iterable[str], sources: Sequence[str]) -> List[Rule]:
    """The rules that a person wrote, each as LABEL[,score=SHARE][,for=SECONDS][,source=NAME] or as @FILE of such lines.

    labels: those that can be said; sources: names of the feeds. Raises UsageError for what no rule is, and for a label
    or source that is not there: a rule with a slip in it would stay silent for ever.
    """
    known = sorted(set(labels))
    rules = [_parse(text, known, sources) for given in texts for text in _lines(given)]
    repeated = [rule.text for i, rule in enumerate(rules) if rule.text in [each.text for each in rules[:i]]]
    if repeated:
        raise UsageError("the alert {!a} twice".format(repeated[0]), "each once", "leave one out")
    return rules


def _lines(given: str) -> List[str]:
    """The rule itself, or those in its @FILE: one a line; empty lines and those that begin with # are passed over."""
    if not given.startswith("@"):
        return [given.strip()]
    try:
        with open(given[1:], encoding="utf-8") as file:
            lines = [line.strip() for line in file.read(_MOST_BYTES).splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "no UTF-8 text"
        raise UsageError("{}: {}".format(given[1:], reason), "a file with an alert a line", "write one") from None
    return [line for line in lines if line and not line.startswith("#")]


def _parse(text: str, labels: List[str], sources: Sequence[str]) -> Rule:
    label, *options = re.split(r",\s*(?=[a-z]+=)", text)  # a label may hold a comma
    rule = Rule(text, label.strip())
    for option in options:
        name, _, value = option.partition("=")
        rule = rule._replace(**_option(text, name, value.strip()))
    if rule.label not in labels + [UNKNOWN]:
        raise _wrong(text, "a label that is known: {} or {}".format(", ".join(labels), UNKNOWN))
    if rule.source not in ("",) + tuple(sources):
        raise _wrong(text, "a source of this run: {}".format(", ".join(sources)))
    return rule


def _option(text: str, name: str, value: str) -> dict:
    if name == "source":
        return {"source": find_feed(value).name}  # 0 is /dev/video0, and an address has no password
    fields, most = {"score": ("score", 1.0), "for": ("for_s", 86400.0)}, 0.0
    try:
        field, most = fields[name]
        number = float(value)
    except (KeyError, ValueError):
        raise _wrong(text, _FORM) from None
    if not 0 <= number <= most:
        raise _wrong(text, "{} from 0 to {:g}".format(name, most))
    return {field: number}


def _wrong(text: str, expected: str) -> UsageError:
    return UsageError("the alert {!a}".format(text), expected, "check how it is written")
