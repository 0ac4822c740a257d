"""Debian's Chromium without a screen, driven by Selenium: for the page's test, its pictures and its bench."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from edge.contract.errors import BoardError

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")


@contextmanager
def chromium(width: int, height: int, *, dark: bool = False) -> Iterator[Any]:
    """A selenium.webdriver.Chrome of that size in CSS pixels. Raises BoardError where it is not installed."""
    if CHROMIUM is None or DRIVER is None:
        raise BoardError("no chromium and chromedriver", "both", "apt-get install chromium chromium-driver")
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    # As root, which CI often is, Chromium has no sandbox; and what it opens is our own page
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(DRIVER))
    try:
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
        driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})
        yield driver
    finally:
        driver.quit()
