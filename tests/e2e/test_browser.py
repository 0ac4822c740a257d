"""The page in a real browser: open, log in, name, hold, see the verdict, take back; by pointer and by keyboard."""

import re
import signal
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from tiny_board import command, stripes, tiny_board

from bench.browser import CHROMIUM, DRIVER, chromium
from edge.web.password import make_hash, save_password
from train.folder import open_zip

pytest.importorskip("tornado", reason="the page needs Tornado")
pytest.importorskip("selenium", reason="no Selenium to drive a browser with")
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None or DRIVER is None, reason="no chromium and chromedriver"),
]
PASSWORD = "correct horse"  # noqa: S105
WAIT_S = 20


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a page on a board that others can reach, over a folder of stripes."""
    folder = tmp_path_factory.mktemp("page")
    root = tiny_board(str(folder))
    (folder / "frames").mkdir()
    for i in range(20):
        picture = cv2.resize(stripes(1, i, i < 10)[0], (320, 240), interpolation=cv2.INTER_NEAREST)
        cv2.imwrite(str(folder / "frames" / f"{i:02}.png"), np.repeat(picture[..., np.newaxis], 3, axis=2))
    Path(root, "personal").mkdir(exist_ok=True)
    save_password(str(Path(root, "personal", "page-password")), make_hash(PASSWORD))
    words = ("--web", "0.0.0.0:0", "--alert", "cat", "--alert", "unknown", "--alert-pictures", "1")
    line, runtime, environment = command(root, "run", folder / "frames", *words, "--collect", folder / "data")
    process = subprocess.Popen(line, cwd=runtime, env=environment, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    found = re.search(r"http://[^:]+:(\d+)/", process.stdout.readline())
    assert found
    yield f"http://127.0.0.1:{found.group(1)}/"
    process.send_signal(signal.SIGINT)
    assert process.wait(30) == 0


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium(1280, 900) as driver:
        driver.implicitly_wait(WAIT_S)
        yield driver


def _find(browser: Any, name: str) -> Any:
    return browser.find_element("id", name)


def _until(browser: Any, what: str) -> None:
    """Waits until this JavaScript is true."""
    from selenium.webdriver.support.ui import WebDriverWait

    WebDriverWait(browser, WAIT_S).until(lambda driver: driver.execute_script(f"return {what}"), what)


def _examples(browser: Any) -> int:
    count: int = browser.execute_script("return document.querySelectorAll('#examples .cross').length")
    return count


def test_a_person_logs_in_teaches_what_is_in_view_sees_whether_it_is_enough_and_takes_it_back(
    page: str, browser: Any
) -> None:
    from selenium.webdriver import ActionChains, Keys

    browser.get(page)
    _find(browser, "password").send_keys("wrong horse" + Keys.ENTER)
    _until(browser, "document.getElementById('log-in-error').textContent.includes('wrong password')")
    _find(browser, "password").send_keys(Keys.CONTROL + "a")
    _find(browser, "password").send_keys(PASSWORD + Keys.ENTER)
    _until(browser, "document.getElementById('state').textContent === 'live'")
    _until(browser, "document.getElementById('picture').width === 320")
    _until(browser, "document.querySelectorAll('#top li').length === 2")
    _until(browser, "document.querySelectorAll('#chips button').length === 2")

    _find(browser, "label").send_keys("Tasse")
    hold = _find(browser, "hold")
    ActionChains(browser).click_and_hold(hold).pause(2.5).release().perform()
    _until(browser, "document.getElementById('said-text').textContent.includes('taught as “Tasse”')")
    taught = _examples(browser)
    assert taught >= 3
    # "more of Tasse would prove it" after a few examples, "enough" after many: a quick machine takes many
    _until(browser, "/Tasse|^enough/.test(document.getElementById('verdict').textContent)")
    _until(browser, "/Tasse/.test(document.getElementById('classes').textContent)")
    _until(browser, "[...document.querySelectorAll('#examples img')].every((each) => each.naturalWidth > 0)")

    hold.send_keys("")  # the focus; then by the keyboard alone
    ActionChains(browser).key_down(Keys.SPACE).pause(1.5).key_up(Keys.SPACE).perform()
    _until(browser, f"document.querySelectorAll('#examples .cross').length > {taught}")
    both = _examples(browser)
    browser.execute_script("document.querySelector('#examples .cross').click()")  # in one step: the list is made anew
    _until(browser, f"document.querySelectorAll('#examples .cross').length === {both - 1}")

    for _ in range(2):
        before = _examples(browser)
        _find(browser, "undo-last").click()
        _until(browser, f"document.querySelectorAll('#examples .cross').length < {before}")
    assert _examples(browser) == 0
    _until(browser, "document.getElementById('verdict').textContent === 'nothing is taught.'")


def test_a_person_collects_pictures_takes_them_back_and_downloads_what_training_reads(
    page: str, browser: Any, tmp_path: Path
) -> None:
    from selenium.webdriver import ActionChains, Keys

    shown = "document.querySelectorAll('#collected img')"
    take, label = _find(browser, "take"), _find(browser, "label")
    for name in ("Tasse", "Stift"):
        label.send_keys(Keys.CONTROL + "a")
        label.send_keys(name)
        ActionChains(browser).click_and_hold(take).pause(1.5).release().perform()
        _until(browser, f"document.getElementById('said-text').textContent.includes('collected as “{name}”')")
    _until(browser, f"{shown}.length >= 4 && [...{shown}].every((each) => each.naturalWidth > 0)")
    both = browser.execute_script(f"return {shown}.length")
    take.send_keys("")  # the focus; then by the keyboard alone: one more hold, taken back as one
    ActionChains(browser).key_down(Keys.SPACE).pause(0.5).key_up(Keys.SPACE).perform()
    _until(browser, "document.getElementById('said-text').textContent.includes('collected as “Stift”')")
    if browser.execute_script(f"return {shown}.length") > both:
        _find(browser, "undo").click()
    _until(browser, f"{shown}.length === {both}")
    browser.find_element("css selector", "#collected .cross").send_keys(Keys.ENTER)
    _until(browser, f"{shown}.length === {both - 1}")
    _until(browser, "document.activeElement.className === 'cross'")

    cookie = browser.get_cookie("edgewise")["value"]
    asked = urllib.request.Request(page + "api/collected.zip", headers={"Cookie": f"edgewise={cookie}"})  # noqa: S310
    with urllib.request.urlopen(asked, timeout=WAIT_S) as reply:  # noqa: S310
        (tmp_path / "collected.zip").write_bytes(reply.read())
    with open_zip(tmp_path / "collected.zip") as data:
        assert data.labels == ("Stift", "Tasse")
        assert len(data.parts["train"].targets) == both - 1
    assert browser.execute_script("return document.documentElement.scrollWidth <= innerWidth")


def test_an_alert_is_shown_with_its_picture_marked_and_unmarked(page: str, browser: Any) -> None:
    wanted = "document.querySelectorAll('#alerts [aria-pressed=true]')"
    _until(browser, "[...document.querySelectorAll('#alerts img')].some((each) => each.naturalWidth > 0)")
    browser.find_element("css selector", "#alerts [data-mark$=false]").click()
    _until(browser, f"{wanted}.length === 1 && {wanted}[0].textContent === 'Not wanted'")
    _find(browser, "undo-mark").click()
    _until(browser, f"{wanted}.length === 0 && document.getElementById('undo-mark').hidden")
    _find(browser, "miss").click()
    _until(browser, "document.getElementById('alerts').textContent.includes('missed')")
    assert browser.execute_script("return document.documentElement.scrollWidth <= innerWidth")


def test_the_page_breaks_no_rule_of_its_own_and_names_all_that_can_be_pressed(page: str, browser: Any) -> None:
    nameless = browser.execute_script(
        "return [...document.querySelectorAll('button, input, canvas, dialog, ol[tabindex]')]"
        ".filter((each) => !(each.ariaLabel || each.textContent.trim() || each.labels?.length"
        " || each.getAttribute('aria-labelledby') || each.ariaHidden)).map((each) => each.outerHTML)"
    )
    assert nameless == []
    said = [entry["message"] for entry in browser.get_log("browser") if entry["level"] == "SEVERE"]
    assert [line for line in said if "403" not in line] == []  # the wrong password's answer


def test_nothing_is_wider_than_a_phone(page: str) -> None:
    with chromium(360, 740, dark=True) as phone:
        phone.get(page)
        assert phone.execute_script("return document.documentElement.scrollWidth") <= 360


def test_logging_out_closes_the_page(page: str, browser: Any) -> None:
    _find(browser, "log-out").click()
    _until(browser, "!document.getElementById('log-in').hidden && document.getElementById('page').hidden")
    browser.refresh()
    _until(browser, "!document.getElementById('log-in').hidden")
