"""A Tally and windows on it."""

import re
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import httpx
import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Page

# What must come at last comes within it on any machine.
PATIENCE_MS = 30_000


@pytest.fixture(scope="module")
def tally(tally_up: Callable):
    return tally_up()


@pytest.fixture
def _empty(tally) -> None:
    """Begin with nothing to show, but with history behind it."""
    httpx.post(f"{tally.url}/reset_service/resets").raise_for_status()


@pytest.fixture
def open_page(browser: "Browser", tally) -> Iterator[Callable[..., "Page"]]:
    """Open windows; whatever a page logs as an error, or asks of another host, fails the test."""
    contexts: list[BrowserContext] = []
    wrong: list[str] = []

    def opened(path: str, **options) -> "Page":
        context = browser.new_context(base_url=tally.url, **options)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(PATIENCE_MS)
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("request", lambda request: note_request(request.url))
        page.on("console", lambda said: said.type == "error" and note_console(said.text))
        page.goto(path)
        return page

    def note_request(url: str) -> None:
        if not url.startswith(tally.url):
            wrong.append(f"asked {url}")

    def note_console(text: str) -> None:
        # What the page shows of an answer is also logged by the browser itself.
        if not re.search("status of (4|502)", text):
            wrong.append(text)

    yield opened
    for context in contexts:
        context.close()
    assert not wrong
