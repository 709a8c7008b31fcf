"""For everybody: who listens, who reads from right to left, who needs large text, who prints."""

import re
from collections.abc import Iterator

import httpx
import pytest
from playwright.sync_api import Page, Route, expect

from tally.pages import text
from tests.support.http import ENTRIES

pytestmark = pytest.mark.usefixtures("_empty")
PAGES = ("/", "/adder_service", "/display_service", "/reset_service?confirm=1")
PHONE = {"viewport": {"width": 375, "height": 700}}
DESK = {"viewport": {"width": 1000, "height": 900}}
NUMBERS = ["0", "-5", "12.5", "-0.125", "1234", "-1234567.000000001", "123456789012345678.5"]
# All that moved since, whether somebody had just pressed a key or not, but for the page's foot.
WATCH_SHIFTS = """() => {
    window.shifts = [];
    new PerformanceObserver((list) => {
        for (const { sources } of list.getEntries()) {
            const nodes = sources.map(({ node }) => node).filter((node) => node?.closest);
            window.shifts.push(...nodes.filter((node) => !node.closest("footer"))
                .map((node) => node.outerHTML.slice(0, 80)));
        }
    }).observe({ type: "layout-shift" });
}"""
TREE = "Accessibility.getFullAXTree"


@pytest.fixture
def add(tally) -> Iterator[object]:
    def add(*values: str) -> None:
        httpx.post(tally.url + ENTRIES, json={"values": values}).raise_for_status()

    return add


def press(page: Page, name: str) -> None:
    page.get_by_role("button", name=name, exact=True).click()


def is_live(page: Page) -> None:
    expect(page.locator("[data-link]")).to_have_text("Live", timeout=30_000)


def test_a_script_writes_numbers_as_the_server_does(open_page) -> None:
    page = open_page("/")
    for number in NUMBERS:
        for split in (False, True):
            written = page.evaluate("([n, s]) => amount(n, s).outerHTML", [number, split])
            assert written == str(text.amount(number, split=split))


# ---- numbers ----


def test_a_copy_is_what_programs_and_the_form_understand(open_page, add) -> None:
    add("-1234567.125")
    page = open_page("/adder_service", permissions=["clipboard-read", "clipboard-write"])
    shown = page.locator(".sum")
    assert (
        page.evaluate("place => getSelection().selectAllChildren(place)", shown.element_handle())
        is None
    )
    assert page.evaluate("getSelection().toString()") == "-1234567.125"
    page.get_by_role("button", name="Copy the total").click()
    expect(page.get_by_role("button", name="Copy the total")).to_have_text("Copied")
    assert page.evaluate("navigator.clipboard.readText()") == "-1234567.125"
    page.get_by_label("Value").press("ControlOrMeta+v")
    press(page, "Add")
    expect(page.locator(".sum data")).to_have_attribute("value", "-2469134.25")


def test_the_list_s_numbers_align_at_the_point_and_each_value_can_be_copied(open_page, add) -> None:
    add("5", "-1234.5", "0.125", "1234567")
    page = open_page("/display_service", permissions=["clipboard-read", "clipboard-write"], **DESK)
    rows = page.locator("tbody tr:has(.copy)")
    points = rows.evaluate_all(
        """rows => rows.map((row) => [...row.querySelectorAll(".fraction")]
            .map((fraction) => Math.round(fraction.getBoundingClientRect().left)))"""
    )
    assert len(points) >= 4
    assert [len(set(column)) for column in zip(*points, strict=True)] == [1, 1]
    rows.nth(2).get_by_role("button", name="Copy the value of entry").click()
    expect(rows.nth(2).locator(".copy")).to_have_text("Copied")
    assert page.evaluate("navigator.clipboard.readText()") == "-1234.5"


@pytest.mark.parametrize("path", PAGES)
def test_numbers_run_from_left_to_right_in_any_language(open_page, add, path) -> None:
    add("-5", "-1234567.5")
    page = open_page(path)
    page.evaluate("document.documentElement.dir = 'rtl'")
    numbers = page.locator("main data:visible")
    assert numbers.count() >= 1
    for number in numbers.all():
        assert number.get_attribute("translate") == "no"
        ordered = number.evaluate(
            """number => {
                const walker = document.createTreeWalker(number, NodeFilter.SHOW_TEXT);
                const places = [];
                while (walker.nextNode()) {
                    const range = document.createRange();
                    range.selectNodeContents(walker.currentNode);
                    const { left, top } = range.getBoundingClientRect();
                    places.push([top, left]);
                }
                return places.every(([top, left], at) =>
                    at === 0 || top > places[at - 1][0] + 1 || left >= places[at - 1][1]);
            }"""
        )
        assert ordered, number.get_attribute("value")


@pytest.mark.parametrize("path", [*PAGES, "/adder_service?several", "/nowhere"])
def test_text_twice_as_large_wraps_on_a_phone(open_page, add, path) -> None:
    add("-1234567.125", "999999999999999999.999999999")
    page = open_page(path, **PHONE)
    session = page.context.new_cdp_session(page)
    session.send("Page.setFontSizes", {"fontSizes": {"standard": 32, "fixed": 26}})
    page.reload()
    assert page.evaluate("getComputedStyle(document.body).fontSize") == "32px"
    assert page.evaluate("document.documentElement.scrollWidth") <= 375


# ---- what somebody did ----


def test_the_pressed_button_keeps_the_focus_and_says_what_it_does(open_page) -> None:
    page = open_page("/adder_service")
    held: list[Route] = []

    def hold(route: Route) -> None:
        held.append(route)

    page.route("**/adder_service", hold)
    page.get_by_label("Value").fill("5")
    button = page.get_by_role("button", name="Add", exact=True)
    button.click()
    adding = page.get_by_role("button", name="Adding…")
    expect(adding).to_be_focused()
    expect(adding).to_have_attribute("aria-disabled", "true")
    page.get_by_label("Value").press("Enter")
    adding.focus()
    # What is typed meanwhile is the next value.
    page.get_by_label("Value").fill("6")
    assert len(held) == 1
    held[0].continue_()
    expect(page.locator("#added")).to_contain_text("Added 5.")
    expect(button).not_to_have_attribute("aria-disabled", "true")
    expect(page.get_by_label("Value")).to_have_value("6")


@pytest.mark.parametrize("screen", [DESK, PHONE], ids=["desk", "phone"])
@pytest.mark.parametrize(
    ("path", "typed", "button", "comes"),
    [
        ("/adder_service", "5", "Add", "#added"),
        ("/adder_service", "many", "Add", "#errors"),
        ("/adder_service", "1,000", "Add", "#choices"),
        ("/adder_service", "offline", "Add", "#outcome .bad"),
        ("/reset_service?confirm=1", None, "Clear the total", "#done"),
        ("/reset_service?confirm=1", "offline", "Clear the total", "#outcome .bad"),
    ],
)
def test_nothing_moves_when_a_notice_comes(
    open_page, add, screen, path, typed, button, comes
) -> None:
    add("41")
    # A reset before: the list of resets has its first row.
    page = open_page(path, **screen)
    is_live(page)
    if typed is not None and path == "/adder_service":
        page.get_by_label("Value").fill("5" if typed == "offline" else typed)
    if typed == "offline":
        page.route("**/*_service", lambda route: route.fulfill(status=502, body="bad gateway"))
    page.evaluate(WATCH_SHIFTS)
    press(page, button)
    expect(page.locator(comes)).to_be_visible()
    page.wait_for_timeout(300)
    moved = [node for node in page.evaluate("window.shifts") if "reset-" not in node]
    assert moved == []


@pytest.mark.parametrize(
    ("path", "rows"), [("/reset_service", ".resets li"), ("/display_service", ".steps tbody tr")]
)
def test_rows_are_renewed_in_place_so_a_selection_lives(open_page, tally, add, path, rows) -> None:
    def clear(value: str) -> None:
        add(value)
        httpx.post(f"{tally.url}/reset_service/resets").raise_for_status()

    clear("1")
    page = open_page(path)
    is_live(page)
    name = page.locator(rows).first.get_attribute("id")
    page.locator(f"#{name}").evaluate(
        "row => { window.row = row; getSelection().selectAllChildren(row.firstElementChild); }"
    )
    selected = page.evaluate("getSelection().toString()")
    clear("2")
    expect(page.locator(rows).first).not_to_have_id(str(name))
    assert page.evaluate("name => window.row === document.getElementById(name)", name)
    assert page.evaluate("getSelection().toString()").split()[:2] == selected.split()[:2]


# ---- who listens ----


def test_a_page_says_little_and_nothing_while_somebody_types(open_page, add) -> None:
    home, adder = open_page("/"), open_page("/adder_service")
    for page in (home, adder):
        is_live(page)
        assert page.locator("[data-announce]").text_content() == ""
    add("5")
    expect(home.locator("[data-announce]")).to_have_text(re.compile(r"^Total .*5, \d+ entr"))
    expect(adder.locator(".sum data")).to_have_attribute("value", "5")
    expect(adder.get_by_label("Value")).to_be_focused()
    assert adder.locator("[data-announce]").text_content() == ""


def test_updates_can_be_paused(open_page, add) -> None:
    add("1")
    page = open_page("/")
    is_live(page)
    press(page, "Pause updates")
    link = page.locator("[data-link]")
    expect(link).to_have_text(re.compile(r"^Paused last updated at \d"))
    watching = open_page("/")
    add("2")
    expect(watching.locator(".sum data")).to_have_attribute("value", "3")
    assert page.locator(".sum data").get_attribute("value") == "1"
    press(page, "Resume updates")
    is_live(page)
    expect(page.locator(".sum data")).to_have_attribute("value", "3")


def test_a_tab_shows_the_total_until_its_title_says_what_was_done(open_page, add) -> None:
    page = open_page("/adder_service")
    is_live(page)
    expect(page).to_have_title("0 · Add a value · Tally")
    add("-5")
    expect(page).to_have_title("−5 · Add a value · Tally")
    page.get_by_label("Value").fill("7")
    press(page, "Add")
    expect(page).to_have_title("Added 7 · Tally")
    add("1")
    expect(page.locator(".sum data")).to_have_attribute("value", "3")
    expect(page).to_have_title("Added 7 · Tally")


def test_what_a_screen_reader_is_told_of_an_outcome(open_page) -> None:
    page = open_page("/adder_service")
    page.get_by_label("Value").fill("-1234.5")
    press(page, "Add")
    expect(page.locator("#added")).to_be_visible()
    expect(page.locator("#readout")).to_contain_text("1 entry")  # it comes by the stream
    nodes = page.context.new_cdp_session(page).send(TREE)["nodes"]
    told = [
        (node["role"]["value"], node.get("name", {}).get("value", ""))
        for node in nodes
        if not node["ignored"]
    ]
    assert ("link", "Tally") in told
    assert ("heading", "Total") in told
    assert told.count(("image", "−1234.5")) == 3  # the total, the value, the total then
    assert ("button", "Undo entry 1") in [(role, re.sub(r"\d+", "1", name)) for role, name in told]
    assert [role for role, _ in told].count("status") == 2
    assert "alert" not in dict(told)


# ---- on paper ----


@pytest.mark.parametrize("path", ["/", "/adder_service", "/display_service", "/reset_service"])
def test_paper_holds_the_page_without_emptiness(open_page, add, path) -> None:
    add("1", "2", "3")
    page = open_page(path)
    page.emulate_media(media="print")
    bottom, height = page.evaluate(
        """() => [
            Math.max(...[...document.querySelectorAll("main *")]
                .map((each) => each.getBoundingClientRect().bottom)),
            document.body.getBoundingClientRect().height,
        ]"""
    )
    assert height <= bottom + 1
    gaps = page.evaluate(
        """() => {
            const blocks = [...document.querySelectorAll("main > *, main > div > section")]
                .map((each) => each.getBoundingClientRect()).filter(({ height }) => height);
            return blocks.map(({ top }, at) => at ? top - blocks[at - 1].bottom : top);
        }"""
    )
    assert max(gaps) < 80
    for control in ("form", "button", "nav", "[data-link]"):
        assert page.locator(f"{control}:visible").count() == 0
