"""report.html of a run: how it was trained and what it is worth, with pictures, whole in one file."""

import platform
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
import torchvision
from numpy.typing import NDArray

from edge.contract.files import write_whole
from train.answers import Answers, read_answers
from train.charts import Line, ShareBar, line_chart, share_chart
from train.checkpoint import EpochMetrics
from train.confusion import confusion
from train.data import DataSet, Pictures
from train.gradcam import draw_heat, grad_cam
from train.measures import Share, calibration, class_scores
from train.page import figures, note, page, pictures, section, table, value, verdict
from train.recipe import recipe_text
from train.run_folder import PAGE, Run, load_run, read_metrics, read_report

_MOST_MISTAKES, _MOST_LOOKED_AT = 24, 8
_PICTURE = 96  # pixels of the longer side


def write_run_page(folder: Path, data: DataSet, command: str) -> None:
    """Writes `folder`/report.html for the finished run there. data: its pictures; command: what was typed."""
    run = load_run(folder)
    answers = read_answers(folder, len(run.labels))
    html = render(run, answers, data, read_metrics(folder), read_report(folder), command)
    write_whole(str(folder / PAGE), html.encode())


def render(
    run: Run,
    answers: Mapping[str, Answers],
    data: DataSet,
    metrics: Sequence[EpochMetrics],
    report: Mapping[str, Any],
    command: str,
) -> str:
    test = answers["test"]
    sections = [
        _verdict(answers, report),
        section("Learning", _learning(metrics)),
        section("Classes", _classes(run.labels, test)),
        section("What is taken for what", confusion(run.labels, test.targets, test.chosen, "the network says")),
        section("Is it as sure as it is right?", _calibration(test)),
        section("Mistakes", _mistakes(run.labels, test, data.test)),
        section("Where it looks", _looks(run, test, data.test)),
        section("How it was made", _made(run, report, command)),
    ]
    return page(f"Training of {run.spec.network} on {Path(data.source).name}", sections)


def _verdict(answers: Mapping[str, Answers], report: Mapping[str, Any]) -> str:
    """How much is right, and whether that is all the training that was planned."""
    test, val = (Share(int(answers[part].right.sum()), len(answers[part].targets)) for part in ("test", "val"))
    whole = report["epochs"] == report["planned_epochs"]
    stopped = "" if whole else f" Stopped after {report['epochs']} of {report['planned_epochs']} epochs."
    told = f"{100 * test.share:.2f} % of {test.of} test pictures are read right"
    interval = "({:.1f} to {:.1f} likely)".format(*(100 * end for end in test.interval))
    return verdict(f"{told} {interval}, {100 * val.share:.2f} % of {val.of} val pictures.{stopped}", whole)


def _learning(metrics: Sequence[EpochMetrics]) -> str:
    if not metrics:
        return note("No epoch was finished.")
    last = metrics[-1]
    gap = 100 * (last.train_accuracy - last.val_accuracy)
    reads = f"{100 * last.train_accuracy:.1f} % of its training pictures and {100 * last.val_accuracy:.1f} % of val"
    text = (
        f"At the end it reads {reads}: a gap of {gap:.1f} points. Both are of the averaged weights on pictures as they "
        "are, training's on a sample. `steps` is the loss that was minimised, on pictures changed at random."
    )
    loss = [
        Line("train", [line.train_loss for line in metrics]),
        Line("val", [line.val_loss for line in metrics]),
        Line("steps", [line.loss for line in metrics]),
    ]
    accuracy = [
        Line("train", [100 * line.train_accuracy for line in metrics]),
        Line("val", [100 * line.val_accuracy for line in metrics]),
    ]
    lowest = min(value for line in accuracy for value in line.values)
    return note(text) + figures(
        (
            ("Loss by epoch: cross-entropy in nats.", line_chart(loss, "Loss by epoch", 0, 0)),
            ("Accuracy by epoch, in percent.", line_chart(accuracy, "Accuracy by epoch", lowest, 100)),
        )
    )


def _classes(labels: Sequence[str], test: Answers) -> str:
    rows = [
        [("", label), ("number", str(score.recall.of)), ("number", str(score.recall)), ("number", str(score.precision))]
        for label, score in zip(labels, class_scores(test), strict=True)
    ]
    caption = "Test pictures. Recall: of those of the class, read as it. Precision: of those read as it, of the class."
    told = "In brackets Wilson's 95 % interval: what so many pictures can tell."
    return note(told) + table(["class", "pictures", "recall", "precision"], rows, caption)


def _calibration(test: Answers) -> str:
    found = calibration(test)
    off = 100 * (found.probability - found.accuracy)
    kind = "too sure" if off > 0 else "less sure than it is right"
    text = (
        f"Expected calibration error {100 * found.error:.1f} points. Its answers have a probability of "
        f"{100 * found.probability:.1f} % on the mean, and {100 * found.accuracy:.1f} % are right: it is {kind}, by "
        f"{abs(off):.1f} points."
    )
    bars, rows = [], []
    for b in found.bins:
        where, right = f"{100 * b.low:.0f} to {100 * b.high:.0f} %", f"{100 * b.accuracy:.1f} %"
        bars.append(ShareBar(b.low, b.high, b.accuracy, f"{where}: {right} of {b.pictures} right"))
        rows.append([("", where), ("number", str(b.pictures)), ("number", right)])
    chart = share_chart(bars, "Share of right answers by their probability")
    told = "Right answers by their probability. On the dashed line both are the same; below it, it is too sure."
    counts = table(["probability", "pictures", "right"], rows, "")
    return note(text) + f'<div class="pair"><figure>{chart}<figcaption>{told}</figcaption></figure>{counts}</div>'


def _mistakes(labels: Sequence[str], test: Answers, seen: Pictures) -> str:
    wrong = surest_mistakes(test)
    if not wrong.size:
        return note(f"None: all {len(test.targets)} test pictures are read right.")
    shown = wrong[:_MOST_MISTAKES]
    told = f"{len(wrong)} of {len(test.targets)} test pictures, the surest first"
    told += f"; {len(shown)} are shown." if len(shown) < len(wrong) else "."
    return note(told) + pictures(_told(labels, test, seen, shown), _PICTURE)


def surest_mistakes(test: Answers) -> NDArray[np.int64]:
    """Indices of the pictures that are read wrong, those with the highest probability first."""
    wrong = np.flatnonzero(~test.right)
    return np.asarray(wrong[np.argsort(-test.probabilities.max(1)[wrong], kind="stable")])


def _told(
    labels: Sequence[str], test: Answers, seen: Pictures, shown: NDArray[np.int64]
) -> Iterator[tuple[NDArray[np.uint8], str, Sequence[str]]]:
    """Pictures with what they are called, and what they are."""
    targets, chosen, probabilities = test.targets, test.chosen, test.probabilities
    for i in shown:
        target, answer, percent = targets[i], chosen[i], 100 * probabilities[i]
        lines = [f"{labels[answer]}, {percent[answer]:.1f} %"]
        if answer != target:
            lines.append(f"is {labels[target]}, {percent[target]:.1f} %")
        yield seen.pixels[i], seen.name(i), (*lines, seen.name(i))


def _looks(run: Run, test: Answers, seen: Pictures) -> str:
    """Half of them mistakes, the surest; half right, of different classes."""
    mistakes = surest_mistakes(test)[: _MOST_LOOKED_AT // 2]
    right = np.flatnonzero(test.right)
    _, first = np.unique(test.targets[right], return_index=True)
    chosen = np.concatenate([mistakes, right[np.sort(first)][: _MOST_LOOKED_AT - len(mistakes)]])
    heat = grad_cam(run.network, seen.pixels[chosen], test.chosen[chosen])
    if heat is None:
        return note("This network has no map of places before its features.")
    items = (
        (draw_heat(picture, its_heat), name, lines)
        for (picture, name, lines), its_heat in zip(_told(run.labels, test, seen, chosen), heat, strict=True)
    )
    text = (
        "What speaks for the answer is bright (Grad-CAM, Selvaraju et al. 2017, of the last map before the features). "
        "A network that looks beside the thing has learnt something else: a background, a hand, a watermark."
    )
    return note(text) + f'<div class="pairs">{pictures(items, 2 * _PICTURE)}</div>'


def _made(run: Run, report: Mapping[str, Any], command: str) -> str:
    versions = {module.__name__: str(module.__version__) for module in (torch, torchvision, np, cv2)}
    machine = {"python": platform.python_version(), "machine": platform.machine()}
    known = {name: found for name, found in report.items() if found not in (None, [])}
    found = {"source": run.source, "split_seed": run.seed, **known, **machine, **versions}
    recipe = f"<h3>Recipe</h3><pre>{escape(recipe_text(run.recipe))}</pre>"
    return f'<pre>{escape(command)}</pre><div class="wide">{value(found)}</div>{recipe}'
