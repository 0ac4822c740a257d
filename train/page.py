"""A page that a person reads: HTML, whole in one file, without a script. The same content gives the same bytes."""

import base64
import json
import struct
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from pathlib import Path
from string import Template
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.contract.errors import InputError
from edge.contract.files import write_whole

_TEMPLATE = Path(__file__).with_name("page.html")
_THUMBNAIL = 64  # pixels of the longer side, unless told


def page(title: str, sections: Iterable[str]) -> str:
    """The whole page. sections: HTML."""
    return Template(_TEMPLATE.read_text("utf-8")).substitute(title=escape(title), body="\n".join(sections))


def write_page(path: Path, html: str) -> None:
    """Raises InputError for a place that cannot be written."""
    try:
        write_whole(str(path), html.encode())
    except OSError as error:
        raise InputError(
            f"{path}: {error.strerror}", "a place that can be written", "name another with --out"
        ) from None


def verdict(text: str, good: bool) -> str:
    return f'<p class="verdict{"" if good else " bad"}">{escape(text)}</p>'


def section(name: str, content: str) -> str:
    return f"<section><h2>{escape(name)}</h2>{content}</section>"


def note(text: str) -> str:
    return f'<p class="note">{escape(text)}</p>'


def table(heads: Sequence[str], rows: Sequence[Sequence[tuple[str, str]]], caption: str) -> str:
    """Each cell: its class and its text."""
    kinds = [kind for kind, _ in rows[0]] if rows else [""] * len(heads)
    head = "".join(
        f'<th scope="col" class="{kind}">{escape(name)}</th>' for name, kind in zip(heads, kinds, strict=True)
    )
    body = "".join("<tr>" + "".join(f'<td class="{k}">{escape(t)}</td>' for k, t in row) + "</tr>" for row in rows)
    named = f"<caption>{escape(caption)}</caption>" if caption else ""
    return f'<div class="wide"><table>{named}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def value(found: Any) -> str:
    """Plain text, or a table of what a mapping holds or of rows that are mappings of the same keys."""
    if isinstance(found, Mapping):
        rows = "".join(f'<tr><th scope="row">{escape(str(k))}</th><td>{value(v)}</td></tr>' for k, v in found.items())
        return f"<table><tbody>{rows}</tbody></table>" if found else "none"
    if isinstance(found, list) and found and all(isinstance(row, Mapping) for row in found):
        heads = list(dict.fromkeys(key for row in found for key in row))
        cells = [[("", "" if key not in row else _text(row[key])) for key in heads] for row in found]
        return table(heads, cells, "")
    return escape(_text(found))


def _text(found: Any) -> str:
    return found if isinstance(found, str) else json.dumps(found)


def figures(parts: Iterable[tuple[str, str]]) -> str:
    """Drawings beside each other where there is room. Each: what it is, and its SVG."""
    shown = "".join(f"<figure>{drawing}<figcaption>{escape(name)}</figcaption></figure>" for name, drawing in parts)
    return f'<div class="pair">{shown}</div>'


def pictures(items: Iterable[tuple[NDArray[np.uint8], str, Sequence[str]]], longest: int = _THUMBNAIL) -> str:
    """A grid of pictures, (H, W, C) uint8 grey or BGR, each with what it is called and lines below it.

    longest: pixels of the longer side that a large one is reduced to.
    """
    found = []
    for pixels, name, lines in items:
        image = f'<img src="{_thumbnail(pixels, longest)}" alt="{escape(name, quote=True)}">'
        found.append(f"<li>{image}{'<br>'.join(map(escape, lines))}</li>")
    return f'<ul class="pictures">{"".join(found)}</ul>'


def _thumbnail(pixels: NDArray[np.uint8], longest: int) -> str:
    """A BMP as a data URI: no compression, so the same bytes with every library. pixels: (H, W, C), grey or BGR."""
    size = max(pixels.shape[:2])
    if size > longest:
        shape = (max(1, pixels.shape[1] * longest // size), max(1, pixels.shape[0] * longest // size))
        small = cv2.resize(pixels, shape, interpolation=cv2.INTER_AREA).reshape(shape[1], shape[0], -1)
        pixels = np.asarray(small, np.uint8)
    height, width, channels = pixels.shape
    bgr = np.repeat(pixels, 3, 2) if channels == 1 else pixels
    rows = np.zeros((height, (3 * width + 3) // 4 * 4), np.uint8)
    rows[:, : 3 * width] = bgr[::-1].reshape(height, -1)
    head = struct.pack("<2sIHHI", b"BM", 54 + rows.size, 0, 0, 54)
    head += struct.pack("<IiiHHIIiiII", 40, width, height, 1, 24, 0, rows.size, 2835, 2835, 0, 0)
    return "data:image/bmp;base64," + base64.b64encode(head + rows.tobytes()).decode("ascii")
