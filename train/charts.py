"""Charts as SVG, for the pages."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

WIDTH, _HEIGHT = 900, 240  # of the drawing, in its own units: pixels, where there is room
HALF = WIDTH // 2  # of one that stands beside another
_LEFT, _BOTTOM, _TOP = 110, 28, 14
_NAME_WIDTH = 56  # room below the axis for each name
_SIDE, _HEAD, _EDGE = 44, 30, 10  # room of a plot for the numbers at its left, for its legend, and at its right
_LETTER = 8  # width of one, at most
_KINDS = ("one", "two", "three")  # of lines: page.html has their colours and dashes
_TICKS = 5  # at most, on an axis


@dataclass(frozen=True)
class Line:
    name: str
    values: Sequence[float]  # at 1, 2, 3 ...


@dataclass(frozen=True)
class ShareBar:
    low: float  # of the interval that it stands on, within 0 to 1
    high: float
    value: float  # 0 to 1
    text: str  # what pointing at it says


@dataclass(frozen=True)
class Bar:
    name: str
    value: float
    text: str  # what pointing at it says


def bar_chart(bars: Sequence[Bar], title: str, unit: str, marked: str | None = None, width: int = WIDTH) -> str:
    """Upright bars from 0; the one called `marked` is drawn in another colour. `title` is read out instead of it."""
    highest = max(0.0, *(bar.value for bar in bars))
    lowest = min(0.0, *(bar.value for bar in bars))
    span = (highest - lowest) or 1.0
    step = (width - _LEFT) / len(bars)
    usable = _HEIGHT - _BOTTOM - _TOP
    zero = _TOP + usable * highest / span
    parts = [
        f'<line class="axis" x1="{_LEFT}" x2="{width}" y1="{zero:.1f}" y2="{zero:.1f}"/>',
        f'<text x="{_LEFT - 6}" y="{_TOP + 4}" text-anchor="end">{highest:g} {escape(unit)}</text>',
        f'<text x="{_LEFT - 6}" y="{zero + 4:.1f}" text-anchor="end">0</text>',
    ]
    every = max(1, -(-_NAME_WIDTH // int(step + 1)))
    for i, bar in enumerate(bars):
        height = usable * abs(bar.value) / span
        top = zero - height if bar.value > 0 else zero
        kind = "worst" if bar.name == marked else "bar"
        at = _LEFT + i * step
        box = f'x="{at + step * 0.1:.1f}" y="{top:.1f}" width="{step * 0.8:.1f}" height="{height:.1f}"'
        parts.append(f'<rect class="{kind}" {box}><title>{escape(bar.text)}</title></rect>')
        if i % every == 0 and len(bar.name) <= 6:
            parts.append(
                f'<text x="{at + step / 2:.1f}" y="{_HEIGHT - 8}" text-anchor="middle">{escape(bar.name)}</text>'
            )
    return _drawing(parts, title, width)


def line_chart(lines: Sequence[Line], title: str, low: float, high: float) -> str:
    """Up to three lines over the epochs, from `low` to `high` at least. `title` is read out instead of it."""
    values = [value for line in lines for value in line.values]
    last = max(2, *(len(line.values) for line in lines))
    plot = _Plot(1, last, min(low, *values), max(high, *values))
    parts = [plot.axes()]
    at = _SIDE
    for kind, line in zip(_KINDS, lines, strict=False):
        points = [(plot.x(epoch), plot.y(value)) for epoch, value in enumerate(line.values, 1)]
        joined = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        parts.append(f'<polyline class="line {kind}" points="{joined}"/>')
        for epoch, ((x, y), value) in enumerate(zip(points, line.values, strict=True), 1):
            text = escape(f"{line.name}, epoch {epoch}: {value:.4g}")
            parts.append(f'<circle class="dot {kind}" cx="{x:.1f}" cy="{y:.1f}" r="3"><title>{text}</title></circle>')
        parts.append(f'<line class="line {kind}" x1="{at}" x2="{at + 24}" y1="12" y2="12"/>')
        parts.append(f'<text x="{at + 30}" y="16">{escape(line.name)}</text>')
        at += 50 + _LETTER * len(line.name)
    return _drawing(parts, title, HALF)


def share_chart(bars: Sequence[ShareBar], title: str) -> str:
    """Shares over intervals of 0 to 1, and the diagonal on which both are the same. `title` is read out instead."""
    plot = _Plot(0, 1, 0, 1)
    parts = [plot.axes()]
    for bar in bars:
        left, right, top = plot.x(bar.low), plot.x(bar.high), plot.y(bar.value)
        box = f'x="{left + 1:.1f}" y="{top:.1f}" width="{right - left - 2:.1f}" height="{plot.y(0) - top:.1f}"'
        parts.append(f'<rect class="bar" {box}><title>{escape(bar.text)}</title></rect>')
    ends = f'x1="{plot.x(0):.1f}" y1="{plot.y(0):.1f}" x2="{plot.x(1):.1f}" y2="{plot.y(1):.1f}"'
    parts.append(f'<line class="line two" {ends}/>')
    return _drawing(parts, title, HALF)


@dataclass(frozen=True)
class _Plot:
    """The frame of a plot that is HALF wide: where its numbers are drawn."""

    left: float
    right: float
    low: float
    high: float

    def x(self, value: float) -> float:
        return _SIDE + (HALF - _SIDE - _EDGE) * (value - self.left) / (self.right - self.left)

    def y(self, value: float) -> float:
        return _HEIGHT - _BOTTOM - (_HEIGHT - _BOTTOM - _HEAD) * (value - self.low) / ((self.high - self.low) or 1)

    def axes(self) -> str:
        """A line across for each number at the left, and the numbers below."""
        parts = []
        for tick in _ticks(self.low, self.high):
            y = self.y(tick)
            parts.append(f'<line class="axis" x1="{_SIDE}" x2="{HALF - _EDGE}" y1="{y:.1f}" y2="{y:.1f}"/>')
            parts.append(f'<text x="{_SIDE - 6}" y="{y + 4:.1f}" text-anchor="end">{tick:g}</text>')
        between = 1 if self.right > 1 else 0  # there is no half epoch
        for tick in _ticks(self.left, self.right, between):
            parts.append(f'<text x="{self.x(tick):.1f}" y="{_HEIGHT - 8}" text-anchor="middle">{tick:g}</text>')
        return "".join(parts)


def _ticks(low: float, high: float, closest: float = 0.0) -> list[float]:
    """Round numbers from low to high: 1, 2 or 5 times a power of ten apart, and at least `closest`."""
    least = (high - low) / _TICKS or 1.0
    power = 10.0 ** math.floor(math.log10(least))
    step = max(closest, next(power * times for times in (1, 2, 5, 10) if power * times >= least * (1 - 1e-9)))
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [round(i * step, 10) for i in range(first, last + 1)]


def _drawing(parts: Sequence[str], title: str, width: int) -> str:
    label = escape(title, quote=True)
    return f'<svg viewBox="0 0 {width} {_HEIGHT}" role="img" aria-label="{label}">{"".join(parts)}</svg>'
