"""Makes docs/page-desk.jpg and docs/page-phone.jpg: the page over a film, after two things were taught on it.

scripts/page_pictures.py RUN FILM [--out docs]. RUN is a finished run folder, FILM what stands in for the camera; the
pictures in docs/ are of a run on TrashNet and of a film made from its test pictures.
"""

import argparse
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import cv2
import numpy as np

from bench.browser import chromium
from bench.camera import make_board
from bench.page import started

_QUALITY = 84
_TAUGHT = {"tin can": "metal", "jar": "glass"}  # what the release calls each before
_HOLD_S = 1.4  # of the two seconds for which the film shows a thing


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path)
    parser.add_argument("film")
    parser.add_argument("--out", type=Path, default=Path("docs"))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as made:
        root = make_board(options.run, Path(made))
        with started(root, "--web", "127.0.0.1:0", camera=options.film) as running:
            with page(running.port, 1280, 1060) as desk:
                for label, before in _TAUGHT.items():
                    teach(desk, label, before)
                until_named(desk, *_TAUGHT)
                save(desk, options.out / "page-desk.jpg")
            with page(running.port, 400, 1000, dark=True) as phone:
                until_named(phone, *_TAUGHT)
                save(phone, options.out / "page-phone.jpg")


@contextmanager
def page(port: int, width: int, height: int, *, dark: bool = False) -> Iterator[Any]:
    with chromium(width, height, dark=dark) as browser:
        browser.implicitly_wait(20)
        browser.get(f"http://127.0.0.1:{port}/")
        browser.find_element("css selector", "#top li")  # the first answer
        yield browser


def until_named(browser: Any, *labels: str) -> None:
    """Waits until the page says one of them."""
    from selenium.webdriver.support.ui import WebDriverWait

    said = "return document.getElementById('answer').textContent"
    WebDriverWait(browser, 90, 0.05).until(lambda driver: driver.execute_script(said) in labels)


def teach(browser: Any, label: str, before: str) -> None:
    """Teaches `label` as soon as what is called `before` is in view."""
    from selenium.webdriver import ActionChains

    field = browser.find_element("id", "label")
    field.clear()
    field.send_keys(label)
    until_named(browser, before)
    hold = browser.find_element("id", "hold")
    ActionChains(browser).click_and_hold(hold).pause(_HOLD_S).release().perform()
    browser.find_element("css selector", "#said:not([hidden])")


def save(browser: Any, path: Path) -> None:
    picture = cv2.imdecode(np.frombuffer(browser.get_screenshot_as_png(), np.uint8), cv2.IMREAD_COLOR)
    data = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])[1]
    path.write_bytes(data.tobytes())
    sys.stdout.write(f"{path}: {len(data)} bytes\n")


if __name__ == "__main__":
    main()
