"""The check's page, of what was applied and of something broken, in a real browser."""

import re

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from tally.aws.check import Status
from tally.aws.report import as_html


@pytest.fixture
def open_page(browser, tmp_path):
    """Opens a report's page; whatever it logs as an error, or asks for besides, fails the test."""
    contexts = []
    wrong = []

    def open_page(report, **options):
        file = tmp_path / "report.html"
        file.write_text(as_html(report))
        contexts.append(browser.new_context(**options))
        page = contexts[-1].new_page()
        page.set_default_timeout(5000)
        page.on("console", lambda said: said.type == "error" and wrong.append(said.text))
        page.on("request", lambda asked: asked.url == file.as_uri() or wrong.append(asked.url))
        page.goto(file.as_uri())
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert not wrong


@pytest.fixture
def broken(production, emulator_of, cloud, look):
    """A report of a copy in which anybody may try remote desktop."""
    emulator = emulator_of(production)
    cloud(production, emulator).let_in("adder", {"CidrIp": "0.0.0.0/0"}, 3389)
    return look(production, emulator)


def test_it_shows_what_was_found_of_each_requirement(open_page, production, look):
    report = look(production)
    page = open_page(report)
    expect(page.get_by_text("Everything that is required was found to be there.")).to_be_visible()
    requirements = page.locator("details")
    expect(requirements).to_have_count(len(report.results))
    expect(page.locator("details[open]")).to_have_count(0)
    closed = page.locator("#database-encrypted")
    expect(closed.get_by_role("table")).to_be_hidden()
    closed.locator("summary").click()
    expect(closed.get_by_role("table")).to_contain_text("tally-database")


def test_what_fails_is_named_first_and_open(open_page, broken):
    page = open_page(broken)
    expect(page.get_by_text("Not everything that is required was found")).to_be_visible()
    failing = page.locator("details[open]")
    expect(failing).to_have_count(3)
    page.get_by_role("link", name="administ").click()
    expect(page.locator("#network-administration")).to_be_in_viewport()
    expect(page.locator("#network-administration")).to_contain_text("3389")


def test_a_count_shows_its_requirements_alone(open_page, report):
    page = open_page(report)
    for status in Status:
        page.get_by_role("radio", name=re.compile(f"^\\d+ {status}$")).check()
        shown = page.locator("details").filter(visible=True)
        expect(shown).to_have_count(report.count(status))
        assert shown.locator(".badge").all_inner_texts() == [str(status)] * report.count(status)
    # What a link leads to is shown.
    page.get_by_role("link", name="What bad is about").click()
    expect(page.locator("#bad")).to_be_in_viewport()
    page.get_by_role("radio", name="all").check()
    expect(page.locator("details").filter(visible=True)).to_have_count(len(report.results))


def test_contents_lead_to_each_part(open_page, report):
    page = open_page(report)
    contents = page.get_by_role("navigation", name="Contents").get_by_role("link")
    parts = [
        heading
        for heading in page.get_by_role("heading", level=2).all_inner_texts()
        if not heading.startswith("What ")
    ]
    assert contents.all_inner_texts() == parts
    assert parts[0] == "Who can reach what"
    contents.last.click()
    expect(page.get_by_role("heading", name=parts[-1])).to_be_in_viewport()


@pytest.mark.parametrize("width", [360, 1280])
def test_it_fits_the_window(open_page, broken, width):
    page = open_page(broken, viewport={"width": width, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_accessibility_rule_is_broken(open_page, broken, scheme):
    found = Axe().run(open_page(broken, color_scheme=scheme))
    assert found.violations_count == 0, found.generate_report()
