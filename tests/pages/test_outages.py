"""What every page says while Tally is away, and that it comes back by itself."""

import re
from collections.abc import Iterator

import httpx
import pytest
from playwright.sync_api import BrowserContext, Page, expect

from tests.support.browser import patient_context
from tests.support.http import ENTRIES
from tests.support.outages import OF_THE_DATABASE, OUTAGES, Outage, database_stopped

RESETS = "/reset_service/resets"
PAGES = ("/", "/adder_service", "/display_service", "/reset_service")
# What must come at last comes within it on any machine.
PATIENCE_MS = 40_000
LIVE = re.compile("^Live$")
AWAY = re.compile(r"^(Reconnecting…|Offline)( last updated at \d+:\d\d:\d\d.*)?$")
UNSURE = "it won’t be counted twice"
# What nobody can know while the ledger can't be read.
OLD = "This may be old"
LIES = re.compile("No resets yet|No entries yet|Nothing to clear|Not added|is safe")


@pytest.fixture(params=OUTAGES, ids=lambda kind: kind.__name__)
def outage(request: pytest.FixtureRequest, tally_up) -> Iterator[Outage]:
    with request.param(tally_up) as outage:
        yield outage


@pytest.fixture
def context(browser, outage: Outage) -> Iterator[BrowserContext]:
    yield from patient_context(browser, outage.url, PATIENCE_MS)


def open_window(context: BrowserContext, address: str) -> Page:
    page = context.new_page()
    page.goto(address)
    return page


def says(page: Page, text: re.Pattern[str]) -> None:
    expect(page.locator("[data-link]")).to_have_text(text, timeout=PATIENCE_MS)


def has_its_shell(page: Page) -> None:
    expect(page.get_by_role("heading", level=1)).to_be_visible()
    expect(page.get_by_role("navigation")).to_be_visible()
    expect(page.locator("#readout")).to_be_visible()
    assert not LIES.search(page.get_by_role("main").inner_text())


def fill(outage: Outage) -> None:
    """Have a reset, and after it two entries."""
    for path, body in ((ENTRIES, {"value": 3}), (RESETS, {}), (ENTRIES, {"values": [4, 5]})):
        httpx.post(outage.url + path, json=body).raise_for_status()


def press_add(page: Page) -> None:
    page.get_by_role("button", name="Add", exact=True).click()


def test_open_pages_outlive_it_with_what_was_typed_and_add_once(context, outage) -> None:
    fill(outage)
    home, adder, display, reset = (open_window(context, path) for path in PAGES)
    writing = open_window(context, "/adder_service")
    clearing = open_window(context, "/reset_service?confirm=1")
    windows = (home, adder, display, reset, writing, clearing)
    for page in windows:
        says(page, LIVE)
    field = adder.get_by_label("Value")
    field.fill("40")
    writing.keyboard.type("77")
    keys = [page.locator("[name=key]").input_value() for page in (adder, clearing)]

    outage.begin(context)
    press_add(adder)
    clearing.get_by_role("button", name="Clear the total").click()
    expect(adder.locator("#outcome")).to_contain_text(UNSURE, timeout=PATIENCE_MS)
    expect(clearing.locator("#outcome")).to_contain_text(
        "it won’t be cleared twice", timeout=PATIENCE_MS
    )
    for page in windows:
        if not outage.live:
            says(page, AWAY)
        has_its_shell(page)
    expect(field).to_have_value("40")
    # What was known stays, and is said to be old where it could not be read again.
    expect(clearing.locator(".resets li")).to_have_count(1)
    if outage.answers:
        expect(clearing.locator("#past")).to_contain_text(
            OLD, use_inner_text=True, timeout=PATIENCE_MS
        )
    assert keys == [page.locator("[name=key]").input_value() for page in (adder, clearing)]

    outage.end(context)
    for page in windows:
        says(page, LIVE)
        has_its_shell(page)
    # Somebody types on, and is not disturbed.
    expect(writing.get_by_label("Value")).to_be_focused()
    expect(writing.get_by_label("Value")).to_have_value("77")
    # The page asks what became of the add, and a second press adds it once.
    known = re.compile("Added 40|Tally is back, and this was not counted so far")
    expect(adder.locator("#outcome")).to_have_text(known, timeout=PATIENCE_MS)
    if "Added" not in (adder.locator("#outcome").text_content() or ""):
        press_add(adder)
    expect(adder.locator("#added")).to_contain_text("Added 40", timeout=PATIENCE_MS)
    expect(field).to_have_value("")
    # A clearing may have been done before the add, or after; it was done once.
    known = re.compile("Cleared|Tally is back, and the total was not cleared so far")
    expect(clearing.locator("#outcome")).to_contain_text(known, timeout=PATIENCE_MS)
    if "Cleared" not in (clearing.locator("#outcome").text_content() or ""):
        clearing.get_by_role("button", name="Clear the total").click()
    expect(clearing.locator("#done")).to_contain_text("Cleared", timeout=PATIENCE_MS)
    for page in (reset, clearing):
        expect(page.locator(".resets li")).to_have_count(2, timeout=PATIENCE_MS)
        expect(page.get_by_text(OLD)).to_be_hidden()


@pytest.mark.parametrize("outage", OF_THE_DATABASE, indirect=True)
def test_pages_opened_meanwhile_say_so_and_fill_by_themselves(context, outage) -> None:
    fill(outage)
    outage.begin(context)
    windows = _, adder, display, reset = [open_window(context, path) for path in PAGES]
    clearing = open_window(context, "/reset_service?confirm=1")
    for page in (*windows, clearing):
        has_its_shell(page)
    expect(reset.locator("#past")).to_contain_text("can’t be read right now")
    adder.get_by_label("Value").fill("6")
    press_add(adder)
    expect(adder.locator("#outcome")).to_contain_text(UNSURE, timeout=PATIENCE_MS)
    outage.end(context)
    expect(adder.locator("#outcome")).not_to_contain_text(UNSURE, timeout=PATIENCE_MS)
    for page in (*windows, clearing):
        says(page, LIVE)
        expect(page.locator(".sum data")).to_have_attribute("value", re.compile("^(9|15)$"))
    expect(reset.locator(".resets li")).to_have_count(1, timeout=PATIENCE_MS)
    expect(display.get_by_role("table")).to_be_visible(timeout=PATIENCE_MS)
    expect(clearing.get_by_role("button", name="Clear the total")).to_be_visible()


@pytest.mark.parametrize("outage", [database_stopped], indirect=True)
def test_without_a_script_the_same_form_is_sent_again(browser, outage) -> None:
    context = browser.new_context(base_url=outage.url, java_script_enabled=False)
    fill(outage)
    adder, reset = (
        open_window(context, path) for path in ("/adder_service", "/reset_service?confirm=1")
    )
    adder.get_by_label("Value").fill("1,5")
    outage.begin(context)
    press_add(adder)
    reset.get_by_role("button", name="Clear the total").click()
    expect(adder).to_have_title("Added or not? · Tally")
    expect(reset).to_have_title("Cleared or not? · Tally")
    for page in (adder, reset):
        has_its_shell(page)
    expect(adder.get_by_label("Value")).to_have_value("1,5")
    outage.end(context)
    press_add(adder)
    expect(adder).to_have_title("Added 1.5 · Tally")
    reset.get_by_role("button", name="Clear the total").click()
    expect(reset).to_have_title("Cleared 3 entries · Tally")
    context.close()
