"""The plots of docs/learning.md, from what `edgewise bench learning` wrote.

.venv/bin/python scripts/learning_plots.py docs/learning.json docs: learning-shots.svg, the harmonic mean of old and new
accuracy against the number of shots, and learning-sides.svg, one against the other. Needs the extra `bench`.
"""

import json
import re
import sys
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt

from bench.learning import ACCURACIES
from bench.unknowns import OURS

SETS = {"trashnet 5+1": "TrashNet", "animals 12+4": "animals", "mnist 7+3": "MNIST", "omniglot 25+5": "Omniglot"}
STYLE = {"marker": "o", "markersize": 4, "linewidth": 1.2}

Sides = dict[str, dict[int, tuple[float, float]]]  # by learner and shots: % right of known classes, and of new ones


def main() -> None:
    rows = json.loads(Path(sys.argv[1]).read_text("utf-8"))["rows"]
    found = {title: sides(rows, name) for name, title in SETS.items()}
    plt.rcParams.update({"svg.hashsalt": "edgewise", "font.size": 9})  # the same file from the same figures
    for name, draw in (("learning-shots", draw_shots), ("learning-sides", draw_sides)):
        figure, axes = plt.subplots(1, len(found), figsize=(13, 3.6))
        for axis, (title, its) in zip(axes, found.items(), strict=True):
            draw(axis, its)
            axis.set_title(title)
            axis.grid(alpha=0.3)
        handles, labels = axes[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="lower center", ncols=len(labels), frameon=False)
        figure.tight_layout(rect=(0, 0.08, 1, 1))
        figure.savefig(Path(sys.argv[2]) / f"{name}.svg", metadata={"Date": None})


def sides(rows: list[dict], task: str) -> Sides:
    """What the rows of a task say of every learner, ours first."""
    found: Sides = {}
    for row in rows:
        named = re.fullmatch(rf"{re.escape(task)}, (\d+) shots: {re.escape(ACCURACIES)}", row["name"])
        if named:
            for learner, text in ((OURS, row["value"]), *row["peers"].items()):
                old, new = map(float, text.split(" and "))
                found.setdefault(learner, {})[int(named[1])] = (old, new)
    return found


def draw_shots(axis: plt.Axes, its: Sides) -> None:
    for learner, points in its.items():
        harmonic = [2 * old * new / (old + new) for old, new in points.values()]
        axis.plot([str(shots) for shots in points], harmonic, label=learner, **look(learner))
    axis.set_xlabel("examples of each new class")
    axis.set_ylabel("harmonic mean, %")


def draw_sides(axis: plt.Axes, its: Sides) -> None:
    for learner, points in its.items():
        new, old = [new for _, new in points.values()], [old for old, _ in points.values()]
        axis.plot(new, old, label=learner, **look(learner))
    axis.set_xlabel("new classes right, %")
    axis.set_ylabel("known classes right, %")


def look(learner: str) -> dict[str, object]:
    return {**STYLE, "color": "black", "linewidth": 2.2, "zorder": 3} if learner == OURS else STYLE


if __name__ == "__main__":
    main()
