"""check.html: the pictures that `edgewise check` found something about, to look at."""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from train.check.findings import FEW, UNEVEN, Findings
from train.check.survey import Seen
from train.page import note, page, pictures, section, table, verdict
from train.raw import RawData

MOST_SUSPECTS = 60  # also of what lies on its side
_MOST_GROUPS, _MOST_OF_GROUP = 40, 4

Shown = tuple[NDArray[np.uint8], str, Sequence[str]]


def render(found: Findings, raw: RawData) -> str:
    """The page. raw: the open data set, whose pictures are read again to be shown."""
    lines = summary(found)
    sections = [
        verdict(lines[0], good=len(lines) == 1),
        "".join(note(line) for line in lines[1:]),
        section("Pictures", _counts(found)),
        section("In more than one part", _groups(found, raw, found.leaks)),
        section("The same picture, different labels", _groups(found, raw, found.contradictions)),
        section("Labels to look at", _suspects(found, raw)),
        section("Perhaps not upright", _sideways(found, raw)),
        section("Copies", _groups(found, raw, found.copies)),
        section("Broken files", _broken(found)),
        section("Upright only by their EXIF tag", _names(found.survey.turned)),
    ]
    return page(f"Check of {found.source}", sections)


def summary(found: Findings) -> list[str]:
    """What was found, in lines for a person: first how much was looked at, then one for each kind of finding."""
    lines = [f"{len(found.survey.pictures)} pictures of {len(found.labels)} classes"]
    if found.survey.broken:
        first = ", ".join(name for name, _ in found.survey.broken[:3])
        more = " ..." if len(found.survey.broken) > 3 else ""
        lines.append(f"{len(found.survey.broken)} files are broken: {first}{more}")
    for groups, what in (
        (found.leaks, "are in more than one of train, val and test: what is measured there is not new to the network"),
        (found.contradictions, "have more than one label: remove the wrong ones"),
        (found.copies, "are there more than once in a class: they count more than others"),
    ):
        if groups:
            lines.append(f"{len(groups)} pictures {what}")
    if found.suspects:
        count = len(found.suspects)
        lines.append(f"{count} labels are contradicted by the other pictures: some are mistakes, some hard pictures")
    if found.sideways:
        of = f"{len(found.sideways)} of {found.viewed} pictures looked at"
        lines.append(f"{of} seem to lie on their side or upside down, and no tag says so")
    if found.thin:
        lines.append(f"fewer than {FEW} pictures to train on: {', '.join(found.thin)}")
    if found.unevenness >= UNEVEN:
        lines.append(f"the largest class has {found.unevenness:.0f} times the pictures of the smallest")
    if found.survey.turned:
        turned = len(found.survey.turned)
        lines.append(f"{turned} pictures are upright only by their EXIF tag: edgewise heeds it, not all tools do")
    return lines


def _counts(found: Findings) -> str:
    rows = [
        [("", label), *(("number", str(its[i])) for its in found.counts.values())]
        for i, label in enumerate(found.labels)
    ]
    return table(["class", *found.counts], rows, "Pictures that can be read.")


def _groups(found: Findings, raw: RawData, groups: Sequence[Sequence[Seen]]) -> str:
    if not groups:
        return note("None.")
    told = note(f"{min(len(groups), _MOST_GROUPS)} of {len(groups)} are shown.") if len(groups) > _MOST_GROUPS else ""
    shown = (pictures(_seen(found, raw, group[:_MOST_OF_GROUP])) for group in groups[:_MOST_GROUPS])
    return f'{told}<div class="groups">{"".join(shown)}</div>'


def _suspects(found: Findings, raw: RawData) -> str:
    if not found.suspects:
        return note("None.")
    shown = [
        (each.picture, f"rather {found.labels[each.likeliest]}; its own label: {each.given:.1%}")
        for each in found.suspects[:MOST_SUSPECTS]
    ]
    told = (
        f"{len(shown)} of {len(found.suspects)}, the least likely labels first. "
        if len(shown) < len(found.suspects)
        else ""
    )
    judged = f"Judged by {found.judged_by}, each picture by a classifier that has not seen it."
    return note(told + judged) + _told(found, raw, shown)


def _sideways(found: Findings, raw: RawData) -> str:
    if not found.sideways:
        return note("None.")
    shown = [
        (each.picture, f"upright if turned {each.turn} degrees clockwise") for each in found.sideways[:MOST_SUSPECTS]
    ]
    asked = f"Of {found.viewed} pictures, the surest first, judged by the others, each taken for upright."
    return note(asked) + _told(found, raw, shown)


def _told(found: Findings, raw: RawData, shown: Sequence[tuple[int, str]]) -> str:
    """Pictures, rows of found.survey.pictures, each with what is told of it."""
    seen = _seen(found, raw, [found.survey.pictures[picture] for picture, _ in shown])
    return pictures(
        (pixels, name, [*lines, told]) for (pixels, name, lines), (_, told) in zip(seen, shown, strict=True)
    )


def _seen(found: Findings, raw: RawData, group: Sequence[Seen]) -> Iterator[Shown]:
    for seen in group:
        pixels = raw.parts[seen.part].read(seen.index)
        shown = pixels[..., np.newaxis] if pixels.ndim == 2 else pixels
        yield shown, seen.name, [f"{found.labels[seen.target]}, {seen.part}", seen.name]


def _broken(found: Findings) -> str:
    if not found.survey.broken:
        return note("None.")
    return table(["file", "what is wrong"], [[("file", name), ("", why)] for name, why in found.survey.broken], "")


def _names(names: Sequence[str]) -> str:
    return table(["file"], [[("file", name)] for name in names], "") if names else note("None.")
