"""What somebody asks the display about the past, in a real browser."""

import re
import shutil
import tempfile
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import httpx
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from tally.embedded import postgres
from tests.support.postgres import execute, urls_of

TOKYO = {"timezone_id": "Asia/Tokyo", "locale": "en-GB"}
with_and_without_script = pytest.mark.parametrize(
    "options", [{}, {"java_script_enabled": False}], ids=["script", "no-script"]
)
# Yesterday's. Now is 12 to 36 hours later.
NOON = datetime.now(UTC).replace(hour=12, minute=0, second=0, microsecond=0) - timedelta(days=1)
# The value of each entry, and its hours from then.
ENTRIES = ((100, -30), (200, -20), (50, -10), (1_000_000, -1), (-1_000_000, 1), (5, 7), (1, 9))


@pytest.fixture(scope="module")
def tally(tally_up):
    """Five entries, the last one the opposite of the fourth; a reset; one more; its undo."""
    folder = Path(tempfile.mkdtemp(prefix="tally-history-"))
    folder.chmod(0o755)
    with postgres.start(folder / "data") as server:
        running = tally_up(**urls_of(server))
        with httpx.Client(base_url=running.url) as client:
            for number, (value, _) in enumerate(ENTRIES, start=1):
                if number == 6:
                    client.post("/reset_service/resets").raise_for_status()
                if number == 7:
                    client.delete("/reset_service/resets/1").raise_for_status()
                client.post("/adder_service/entries", json={"value": value}).raise_for_status()
        values = ",".join(f"({number}, {at})" for number, (_, at) in enumerate(ENTRIES, start=1))
        # In a thread of its own: the browser's loop runs in this one.
        with ThreadPoolExecutor() as thread:
            thread.submit(
                execute,
                server.admin_url,
                f"UPDATE tally.entry SET added_at = '{NOON}'::timestamptz + at * interval '1 h'"
                f" FROM (VALUES {values}) AS t (n, at) WHERE id = n",
                f"UPDATE tally.move SET at = '{NOON}'::timestamptz + (4 + 2 * id) * interval '1 h'",
                "UPDATE tally.reset SET at = r.at, undone_at = u.at"
                " FROM tally.move AS r, tally.move AS u WHERE NOT r.undo AND u.undo",
            ).result()
        yield running
        running.stop()
    shutil.rmtree(folder, ignore_errors=True)


def clock(at, zone=0):
    return f"{at + timedelta(hours=zone):%Y-%m-%d %H:%M:%S}"


# What a new user asks


@with_and_without_script
def test_what_was_the_total_yesterday_at_noon(open_page, options) -> None:
    page = open_page("/display_service", **options)
    page.get_by_label("Time, UTC").fill(f"{NOON:%Y-%m-%dT%H:%M}")
    page.get_by_role("button", name="Go to this time").click()
    said = page.locator("#asked")
    expect(said).to_contain_text("the total was")
    expect(said.locator("strong data")).to_have_attribute("value", "1000350")
    said.get_by_role("link", name="4").click()
    expect(page).to_have_url(re.compile("entry=4#entry-4$"))


def test_what_was_the_total_yesterday_at_noon_by_the_viewers_clock(open_page) -> None:
    page = open_page("/display_service", **TOKYO)
    page.get_by_label("Time, GMT+9").fill(f"{NOON + timedelta(hours=9):%Y-%m-%dT%H:%M}")
    page.get_by_role("button", name="Go to this time").click()
    said = page.locator("#asked")
    expect(said.locator("strong data")).to_have_attribute("value", "1000350")
    expect(said.locator("time")).to_have_text(re.compile(clock(NOON, 9)))
    page.go_back()
    expect(page.get_by_label("Time, GMT+9")).to_have_attribute("name", "at")


def test_which_entry_made_it_fall_by_pointer(open_page) -> None:
    page = open_page("/display_service")
    layer, said = page.locator("#layer"), page.locator("[data-moment]")
    box = layer.bounding_box()
    places = page.locator("#plot svg").first.get_attribute("data-points").split(";")
    fall = next(step for step in places if step.split(" ")[3] == "5")
    x = box["x"] + box["width"] * int(fall.split(" ")[0]) / 10_000
    page.mouse.move(x - 3, box["y"] + 20)
    expect(said).to_have_text(re.compile(rf": 1000350, since {clock(NOON - timedelta(hours=1))}"))
    page.mouse.move(x + 2, box["y"] + 20)
    expect(said).to_have_text(
        re.compile(rf": 350, since {clock(NOON + timedelta(hours=1))} after entry 5$")
    )
    page.mouse.down()
    page.mouse.up()
    expect(page).to_have_url(re.compile("entry=5#entry-5$"))
    row = page.locator("#entry-5")
    expect(row).to_be_in_viewport()
    expect(row.locator("td data").first).to_have_attribute("value", "-1000000")


def test_which_entry_made_it_fall_by_keys(open_page) -> None:
    page = open_page("/display_service")
    moment = page.get_by_role("slider", name="A moment of the history")
    moment.focus()
    page.keyboard.press("Home")
    said = []
    for _ in range(9):
        page.keyboard.press("ArrowRight")
        said.append(moment.get_attribute("aria-valuetext"))
    assert f"{clock(NOON - timedelta(hours=1))}: 1000350, after entry 4" in said
    assert f"{clock(NOON + timedelta(hours=1))}: 350, after entry 5" in said
    assert said[-1].endswith(": 356, after entry 7")
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile("entry=7#entry-7$"))


@with_and_without_script
def test_which_entry_made_it_fall_from_the_list(open_page, options) -> None:
    page = open_page("/display_service", **options)
    row = page.get_by_role("row").filter(has=page.locator('data[value="-1000000"]'))
    expect(row.get_by_role("rowheader")).to_have_text("5")


@with_and_without_script
def test_what_did_the_last_reset_clear_and_is_it_back(open_page, options) -> None:
    page = open_page("/display_service", **options)
    said = page.locator("#last-reset")
    expect(said).to_contain_text("cleared 5 entries from a total of 350.")
    expect(said).to_contain_text(f"They came back {clock(NOON + timedelta(hours=8))}.")
    said.get_by_role("link", name="What it cleared").click()
    headers = page.locator("tbody").last.get_by_role("rowheader")
    expect(headers.first).to_contain_text("Reset 1")
    assert [text.strip()[:1] for text in headers.all_inner_texts()[1:]] == list("54321")


# The picture and the list


@with_and_without_script
def test_every_row_follows_from_the_one_below_it(open_page, options) -> None:
    page = open_page("/display_service", **options)
    rows = page.locator("table.steps tbody tr")
    expect(rows).to_have_count(9)
    amounts = [
        [int(part.get_attribute("value")) for part in row.locator("td data").all()]
        for row in rows.all()
    ]
    for (value, after), (_, below) in pairwise(amounts):
        assert after == below + value
    assert amounts[0][1] == 356
    expect(rows.nth(1).get_by_role("rowheader")).to_contain_text("Undo of reset 1")
    expect(rows.nth(3).get_by_role("rowheader")).to_contain_text("Reset 1")


@with_and_without_script
def test_ranges_are_links(open_page, options) -> None:
    page = open_page("/display_service", **options)
    for name in ("Hour", "Day", "Week", "All"):
        page.get_by_role("link", name=name, exact=True).click()
        expect(page.locator(".ranges [aria-current]")).to_have_text(name)
        expect(page.get_by_role("img", name="Total over time")).to_be_visible()
    page.get_by_role("link", name="Hour", exact=True).click()
    expect(page.locator(".facts dt")).to_have_text(["From", "To"])
    expect(page.locator("#csv")).to_have_attribute("href", re.compile(r"entries.csv\?range=hour"))


@with_and_without_script
def test_the_list_goes_on_below_its_range_and_says_so(open_page, options) -> None:
    times = [f"{NOON + timedelta(hours=at):%Y-%m-%dT%H:%M:%SZ}" for at in (-15, 2)]
    page = open_page(f"/display_service?from={times[0]}&to={times[1]}", **options)
    rows = page.locator("#list tbody tr")
    expect(rows.get_by_role("rowheader")).to_contain_text(
        ["5", "4", "3", "Before this range", "2", "1"]
    )
    page.goto("/display_service")
    expect(page.get_by_text("Before this range")).to_have_count(0)


def test_a_range_of_ones_own_by_dragging(open_page) -> None:
    page = open_page("/display_service?range=week")
    box = page.locator("#layer").bounding_box()
    y = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + box["width"] * 0.6, y)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.95, y, steps=4)
    page.mouse.up()
    expect(page).to_have_url(re.compile(r"\?from=\d{4}-.*&to=\d{4}-"))
    expect(page.locator(".ranges [aria-current]")).to_have_text("Zoomed")
    expect(page.locator(".facts")).to_contain_text("Highest 1 000350".replace(" ", ""))


@with_and_without_script
def test_the_points_are_a_table_too(open_page, options) -> None:
    page = open_page("/display_service", **options)
    page.get_by_text("The points of the chart as a table").click()
    if options:
        page.get_by_role("link", name="Show the points").click()
    rows = page.locator("#points tbody tr")
    expect(rows).to_have_count(9)
    expect(rows.nth(3)).to_contain_text(clock(NOON - timedelta(hours=1)))


def test_the_time_zone_can_be_switched_and_is_remembered(open_page) -> None:
    page = open_page("/display_service", **TOKYO)
    added = page.locator("#entry-7 time")
    expect(added).to_have_text(re.compile(clock(NOON + timedelta(hours=9), 9)))
    expect(added).to_have_attribute("title", f"{clock(NOON + timedelta(hours=9))} UTC")
    page.get_by_role("button", name="Show UTC").click()
    expect(added).to_have_text(re.compile(clock(NOON + timedelta(hours=9))))
    page.goto("/reset_service")
    expect(page.locator("#past")).to_contain_text(clock(NOON + timedelta(hours=6)))
    expect(page.get_by_role("button", name="Show your time")).to_be_visible()


def test_a_finger_reads_the_chart_and_still_scrolls(open_page) -> None:
    phone = {"viewport": {"width": 375, "height": 700}, "has_touch": True, "is_mobile": True}
    page = open_page("/display_service", **phone)
    box = page.locator("#layer").bounding_box()
    page.touchscreen.tap(box["x"] + box["width"] - 2, box["y"] + 30)
    expect(page.locator("[data-moment]")).to_have_text(
        re.compile(": 356, (since .* )?after entry 7$")
    )
    assert page.evaluate("document.documentElement.scrollWidth") <= 375


def test_where_there_is_no_such_entry_or_time_it_says_so(open_page) -> None:
    page = open_page("/display_service?entry=99")
    expect(page.locator("#missing")).to_have_text("There is no entry 99.")
    page.goto("/display_service?at=2000-01-01T00:00:00Z")
    expect(page.locator("#asked")).to_contain_text("nothing had been added yet")
    page.goto("/display_service?from=yesterday")
    expect(page.get_by_role("main")).to_contain_text("From must be a time such as 2026-11-24")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(
    "query", ["", "?range=day&table=1", "?entry=5", "?at=2026-01-01T00:00:00Z"]
)
def test_no_accessibility_rule_is_broken(open_page, query, scheme) -> None:
    page = open_page(f"/display_service{query}", color_scheme=scheme, **TOKYO)
    expect(page.locator("[data-link]")).to_have_text("Live")
    expect(page.locator("[data-zone]")).to_be_visible()
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()


def test_the_keyboard_reaches_everything_in_the_order_that_is_seen(open_page) -> None:
    page = open_page("/display_service")
    expect(page.get_by_role("slider")).to_be_visible()
    page.locator("#range-hour").focus()
    seen = []
    for _ in range(24):
        page.keyboard.press("Tab")
        seen.append(page.evaluate("document.activeElement.id || document.activeElement.tagName"))
    assert seen[:4] == ["range-day", "range-week", "range-all", "layer"]
    assert {"csv", "at", "entry"} <= set(seen)


# Last, since they change what there is


def test_an_entry_is_undone_from_its_row_and_the_list_shows_both(open_page) -> None:
    page = open_page("/display_service")
    page.locator("#entry-7").get_by_role("button", name="Undo entry 7").click()
    expect(page.locator("#outcome")).to_contain_text("to undo entry 7")
    expect(page).to_have_title("Undid entry 7 · Tally")
    expect(page.locator("#entry-7")).to_contain_text("undone by 8")
    expect(page.locator("#entry-7 th a").first).to_be_focused()
    expect(page.locator("#entry-8")).to_contain_text("undoes 7")
    expect(page.locator(".sum data")).to_have_attribute("value", "355")


def test_after_a_reset_the_past_is_still_there(open_page, tally) -> None:
    page = open_page("/display_service")
    httpx.post(f"{tally.url}/reset_service/resets").raise_for_status()
    expect(page.locator("#reset-2")).to_be_visible()
    expect(page.locator("#last-reset")).to_contain_text("They have not come back")
    expect(page.locator("#entry-7")).to_contain_text("cleared")
    expect(page.get_by_role("img", name="Total over time")).to_be_visible()
