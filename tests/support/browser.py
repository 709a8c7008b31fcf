"""A real browser, for whatever is to be seen."""

import os
import shutil
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext

FLAGS = [
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


# Of a module, not of all: while it runs, no test may have an event loop of its own.
@pytest.fixture(scope="module")
def browser() -> Iterator["Browser"]:
    from playwright.sync_api import sync_playwright

    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("chromium is not installed: apt install chromium")
    # Chromium's own sandbox needs an ordinary user.
    flags = [*FLAGS, "--no-sandbox"] if os.geteuid() == 0 else FLAGS
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=flags)
        yield browser
        browser.close()


def patient_context(browser: "Browser", url: str, patience_ms: float) -> Iterator["BrowserContext"]:
    """The windows of one person, until the fixture ends that yields from this."""
    context = browser.new_context(base_url=url)
    context.set_default_timeout(patience_ms)
    yield context
    context.close()
