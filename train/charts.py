"""Charts as SVG, for the pages."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

WIDTH, _HEIGHT = 900, 240  # of the drawing, in its own units: pixels, where there is room
HALF = WIDTH // 2  # of one that stands beside another
_LEFT, _BOTTOM, _TOP = 110, 28, 14
_NAME_WIDTH = 56  # room below the axis for each name


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
    label = escape(title, quote=True)
    return f'<svg viewBox="0 0 {width} {_HEIGHT}" role="img" aria-label="{label}">{"".join(parts)}</svg>'
