"""What people do with Tally, in a real browser."""

import re

import httpx
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

pytestmark = pytest.mark.usefixtures("_empty")
PAGES = {
    "home": "/",
    "adder": "/adder_service",
    "display": "/display_service",
    "reset": "/reset_service",
}


def add(page: Page, value: str) -> None:
    page.get_by_label("Value").fill(value)
    page.get_by_role("button", name="Add", exact=True).click()


def add_by_api(tally, *values: str) -> None:
    httpx.post(
        f"{tally.url}/adder_service/entries", json={"values": list(values)}
    ).raise_for_status()


def shows(page: Page, total: str, count: int) -> None:
    expect(page.locator(".sum data")).to_have_attribute("value", total)
    noun = "entry" if count == 1 else "entries"
    expect(page.locator("[data-count]").first).to_have_text(re.compile(rf"{count}\s+{noun}"))


def count(tally) -> int:
    return httpx.get(f"{tally.url}/display_service/total").json()["count"]


with_and_without_script = pytest.mark.parametrize(
    "options", [{}, {"java_script_enabled": False}], ids=["script", "no-script"]
)


@with_and_without_script
def test_add_says_what_was_added(open_page, options) -> None:
    page = open_page("/adder_service", **options)
    add(page, " 12.5 ")
    expect(page.get_by_text("Added 12.5. It brought the total to 12.5.")).to_be_visible()
    shows(page, "12.5", 1)


@with_and_without_script
def test_reload_after_an_add_adds_nothing(open_page, tally, options) -> None:
    page = open_page("/adder_service", **options)
    add(page, "3")
    expect(page.get_by_text("Added 3")).to_be_visible()
    page.reload()
    assert count(tally) == 1


@with_and_without_script
def test_double_click_adds_once(open_page, tally, options) -> None:
    page = open_page("/adder_service", **options)
    page.get_by_label("Value").fill("7")
    page.get_by_role("button", name="Add", exact=True).dblclick()
    expect(page.get_by_text("Added 7")).to_be_visible()
    assert count(tally) == 1


@with_and_without_script
def test_bad_value_is_kept_with_the_rule_beside_it(open_page, tally, options) -> None:
    page = open_page("/adder_service", **options)
    add(page, "1,00,000")
    field = page.get_by_label("Value")
    expect(field).to_have_value("1,00,000")
    expect(field).to_be_focused()
    expect(field).to_have_attribute("aria-invalid", "true")
    expect(field).to_have_accessible_description(re.compile("must be a number such as 12.5"))
    expect(page).to_have_title("Not added · Tally")
    assert count(tally) == 0
    add(page, "1000")
    expect(page.get_by_text("Added 1000", exact=False)).to_be_visible()
    assert count(tally) == 1


def test_a_keypad_that_knows_only_the_comma_types_a_fraction(open_page, tally) -> None:
    page = open_page("/adder_service", locale="de-DE", is_mobile=True, has_touch=True)
    field = page.get_by_label("Value")
    assert field.get_attribute("inputmode") == "decimal"
    page.keyboard.type("12,5")
    page.get_by_role("button", name="Change the sign").click()
    page.get_by_role("button", name="Add", exact=True).click()
    expect(page.get_by_text("Added -12.5")).to_be_visible()
    assert count(tally) == 1


@with_and_without_script
def test_a_comma_that_may_be_either_is_asked_for(open_page, tally, options) -> None:
    page = open_page("/adder_service", **options)
    add(page, "1,500")
    asked = page.locator("#choices")
    expect(asked).to_contain_text("Is the comma the decimal point, or between thousands?")
    assert count(tally) == 0
    asked.get_by_role("button", name="1500").click()
    expect(page.get_by_text("Added 1500.")).to_be_visible()
    expect(page.get_by_label("Value")).to_be_focused()
    expect(page.get_by_label("Value")).to_have_value("")
    assert count(tally) == 1


@with_and_without_script
def test_an_add_is_undone_once(open_page, tally, options) -> None:
    page = open_page("/adder_service", **options)
    add(page, "12.5")
    page.get_by_role("button", name="Undo").dblclick()
    expect(page.get_by_text(re.compile("Added -12.5 to undo entry"))).to_be_visible()
    shows(page, "0", 2)
    assert count(tally) == 2


@with_and_without_script
def test_several_values_are_added_once_their_sum_was_seen(open_page, tally, options) -> None:
    page = open_page("/adder_service", **options)
    page.get_by_role("link", name="Several values").click()
    page.get_by_label("Values, one in each line").fill("1\n2,5\n−10")
    page.get_by_role("button", name="Check").click()
    expect(page.get_by_text("3 values with the sum -6.5")).to_be_visible()
    assert count(tally) == 0
    page.get_by_role("button", name="Add 3 values").click()
    expect(page.get_by_text("Added 3 values.")).to_be_visible()
    shows(page, "-6.5", 3)
    page.get_by_role("button", name=re.compile("Undo entries")).dblclick()
    expect(page.get_by_text("Added the opposites of entries")).to_be_visible()
    shows(page, "0", 6)
    assert count(tally) == 6


def test_a_pasted_column_is_several_values(open_page, tally) -> None:
    page = open_page("/adder_service", permissions=["clipboard-read", "clipboard-write"])
    page.evaluate("navigator.clipboard.writeText('1\\r\\n2\\r\\n1,000\\r\\n')")
    page.get_by_label("Value").press("ControlOrMeta+v")
    page.get_by_role("button", name="1003").click()
    page.get_by_role("button", name="Add 3 values").click()
    expect(page.get_by_text("Added 3 values.")).to_be_visible()
    shows(page, "1003", 3)


@pytest.mark.parametrize("how", ["chosen", "dropped"])
def test_a_file_is_several_values(open_page, tally, tmp_path, how) -> None:
    file = tmp_path / "prices.csv"
    file.write_text("name;value\ntea;1\nmilk;2.5\nrent;1000\n", encoding="utf-8")
    page = open_page("/adder_service?several")
    if how == "chosen":
        page.get_by_label("Or a file").set_input_files(file)
    else:
        page.evaluate(
            """text => {
                const dataTransfer = new DataTransfer();
                dataTransfer.items.add(new File([text], "prices.csv"));
                document.body.dispatchEvent(new DragEvent("drop", { dataTransfer, bubbles: true }));
            }""",
            file.read_text(encoding="utf-8"),
        )
    expect(page.get_by_text("3 values with the sum 1003.5")).to_be_visible()
    assert count(tally) == 0
    page.get_by_role("button", name="Add 3 values").click()
    expect(page.get_by_text("Added 3 values.")).to_be_visible()
    shows(page, "1003.5", 3)


def test_a_file_that_is_too_large_is_refused_with_the_remedy(open_page, tmp_path) -> None:
    file = tmp_path / "many.txt"
    file.write_text("1\n" * 300_000, encoding="utf-8")
    page = open_page("/adder_service?several")
    page.get_by_label("Or a file").set_input_files(file)
    expect(page.locator("#outcome")).to_contain_text("many.txt has more than 512 KiB.")


def test_without_script_a_phone_shows_a_keyboard_that_has_a_point_and_a_minus(open_page) -> None:
    page = open_page("/adder_service", java_script_enabled=False)
    assert page.get_by_label("Value").get_attribute("inputmode") is None


def test_hostile_input_is_shown_as_text(open_page) -> None:
    page = open_page("/adder_service")
    hostile = '"><script>document.title="owned"</script>'
    add(page, hostile)
    expect(page.get_by_label("Value")).to_have_value(hostile)
    assert "owned" not in page.title()


def test_another_window_sees_the_total_move(open_page, tally) -> None:
    display, adder, home = (open_page(PAGES[name]) for name in ("display", "adder", "home"))
    add(adder, "41.5")
    for page in (display, adder, home):
        shows(page, "41.5", 1)
    # The picture and the table follow.
    newest = display.locator(".steps tbody tr td:nth-child(2) data").first
    expect(newest).to_have_attribute("value", "41.5")
    add_by_api(tally, "0.5", "100")
    for page in (display, adder, home):
        shows(page, "142", 3)
    expect(newest).to_have_attribute("value", "100")
    expect(
        display.get_by_role("img", name=re.compile("total", re.IGNORECASE)).first
    ).to_be_visible()


@with_and_without_script
def test_reset_asks_first_and_can_be_undone(open_page, tally, options) -> None:
    add_by_api(tally, "5", "6")
    page = open_page("/reset_service", **options)
    page.get_by_role("link", name="Clear the total").click()
    expect(page.get_by_role("heading", name="Clear 2 entries?")).to_be_visible()
    assert count(tally) == 2
    page.get_by_role("link", name="Cancel").click()
    assert count(tally) == 2
    page.get_by_role("link", name="Clear the total").click()
    page.get_by_role("button", name="Clear the total").click()
    expect(page.get_by_text("Cleared 2 entries totalling 11.")).to_be_visible()
    expect(page).to_have_title("Cleared 2 entries · Tally")
    assert count(tally) == 0
    add_by_api(tally, "1")
    page.get_by_role("link", name="Undo").first.click()
    expect(page.get_by_text("The 2 entries that it cleared, totalling 11")).to_be_visible()
    assert count(tally) == 1
    page.get_by_role("button", name="Undo").click()
    expect(page.get_by_text("2 entries totalling 11 came back")).to_be_visible()
    expect(page).to_have_title("Undone: 2 entries came back · Tally")
    assert count(tally) == 3


def test_keyboard_alone_is_enough(open_page, tally) -> None:
    page = open_page("/adder_service")
    expect(page.get_by_label("Value")).to_be_focused()
    page.keyboard.type("8.25")
    page.keyboard.press("Enter")
    expect(page.get_by_text("Added 8.25")).to_be_visible()
    assert count(tally) == 1
    page.goto("/")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()


def test_pages_lead_to_each_other(open_page) -> None:
    page = open_page("/")
    for name, path in (
        ("Add", "adder"),
        ("Display", "display"),
        ("Reset", "reset"),
        ("Home", "home"),
    ):
        page.get_by_role("navigation").get_by_role("link", name=name, exact=True).click()
        expect(page).to_have_url(re.compile(f"{PAGES[path]}$"))


def test_unknown_address_is_a_readable_page(open_page) -> None:
    page = open_page("/nowhere")
    expect(page.get_by_role("heading", level=1)).to_have_text("There is nothing here")
    page.get_by_role("main").get_by_role("link", name="Home").click()
    expect(page).to_have_url(re.compile("/$"))


def test_says_when_the_numbers_may_be_old_and_recovers(open_page, tally_up, browser) -> None:
    own = tally_up()
    port = own.url.rpartition(":")[2]
    context = browser.new_context(base_url=own.url)
    page = context.new_page()
    page.goto("/display_service")
    expect(page.locator("[data-link]")).to_have_text("Live")
    own.stop()
    expect(page.locator("[data-link]")).to_have_text(re.compile("Reconnecting"))
    again = tally_up(own.folder, PORT=port)
    add_by_api(again, "9")
    expect(page.locator("[data-link]")).to_have_text("Live", timeout=15_000)
    expect(page.locator(".sum data")).to_have_attribute("value", "9")
    context.close()
    again.stop()


@pytest.mark.parametrize("width", [320, 360])
@pytest.mark.parametrize("name", PAGES)
def test_fits_a_phone_even_with_the_largest_numbers(open_page, tally, name, width) -> None:
    add_by_api(tally, *["999999999999999999.999999999"] * 10_000)
    page = open_page(PAGES[name], viewport={"width": width, "height": 700})
    expect(page.locator(".sum data")).to_have_attribute("value", "9999999999999999999999.99999")
    assert page.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(
    "path",
    [*PAGES.values(), "/reset_service?confirm=1", "/adder_service?several", "/nowhere"],
    ids=lambda path: path,
)
def test_no_accessibility_rule_is_broken(open_page, tally, path, scheme) -> None:
    add_by_api(tally, "1234567.125", "-3", "0.5")
    page = open_page(path, color_scheme=scheme)
    page.wait_for_timeout(300)
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()


@pytest.mark.parametrize("typed", ["many", "1,000", "5"])
def test_no_outcome_breaks_an_accessibility_rule(open_page, typed) -> None:
    page = open_page("/adder_service")
    add(page, typed)
    expect(page.locator("#errors, #choices, #added")).to_be_visible()
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()
