"""All checks, and what a person reads of them."""

import os
import time
from typing import List, Mapping, Optional

from edge.contract.packages import with_packages
from edge.contract.results import Outcome
from edge.doctor import folder, machine, software
from edge.doctor.finding import HINT, WRONG, Finding, Place


def examine(root: str, environment: Mapping[str, str], desk_s: Optional[float] = None) -> Outcome:
    """Checks the board whose folder is `root`. desk_s: the desk's clock, seconds since 1970.

    The exit code is 1 if something is wrong; hints do not count.
    """
    place = Place(os.path.abspath(root))
    environment = with_packages(place.root, environment)
    findings = [machine.board(place), software.python(), software.pip(), software.numpy(environment)]
    findings += software.opencv(environment) + software.onnxruntime(environment)
    findings += [software.cryptography(environment)]
    findings += machine.cameras(place)
    findings += [
        machine.clock(place, desk_s, time.time()),
        machine.disk(place),
        machine.memory(place),
        machine.heat(place),
        machine.speed(place),
        machine.ports(place),
        folder.permissions(place),
        folder.trust(place),
        folder.release(place),
    ]
    return summary(findings + folder.service())


def summary(findings: List[Finding]) -> Outcome:
    """A line each, then how many there are of what; for --json the same as fields."""
    lines = [
        "{:<6}{}: {}{}".format(each.state, each.name, each.found, each.remedy and "; " + each.remedy)
        for each in findings
    ]
    bad, hints = (sum(each.state == state for each in findings) for state in (WRONG, HINT))
    lines.append("{} wrong, {} hints".format(bad, hints) if bad or hints else "nothing is wrong")
    fields = {"wrong": bad, "hints": hints, "checks": [dict(each._asdict()) for each in findings]}
    return Outcome(tuple(lines), fields, 1 if bad else 0)
