"""docs/asvs.md: every requirement of levels 1 and 2, once, and all that it names exists."""

import re
from collections import Counter

import pytest

from tests.support.documents import exists, named_tests
from tests.support.paths import ROOT

PAGE = (ROOT / "docs/asvs.md").read_text()
ROWS = re.findall(r"^\| (\d+[\d.]*(?:-[\d.]+)?) \| (.*?) \| (.*) \|$", PAGE, re.MULTILINE)
VERDICTS = {"met", "not applicable", "not met"}
# What `tally check` asks: another test holds that the page names each.
REQUIREMENTS = set(re.findall(r"`([a-z0-9-]+)`", (ROOT / "docs/requirements.md").read_text()))


def levels() -> tuple[list[str], list[str]]:
    """The ids of levels 1 and 2."""
    found: tuple[list[str], list[str]] = ([], [])
    for line in (ROOT / "tests/docs/asvs-5.0.0.txt").read_text().splitlines():
        if not line.startswith("#"):
            section, *numbers = line.split(" | ")
            for ids, given in zip(found, numbers, strict=True):
                ids += [f"{section}.{number}" for number in given.split() if number != "-"]
    return found


FIRST, SECOND = levels()
IDS = sorted(FIRST + SECOND, key=lambda number: [int(part) for part in number.split(".")])


def ids_of(cell: str) -> list[str]:
    """Those of a row: one, or from one through another."""
    first, _, last = cell.partition("-")
    return IDS[IDS.index(first) : IDS.index(last or first) + 1]


def test_the_list_is_the_standard_s() -> None:
    assert (len(FIRST), len(SECOND)) == (70, 183)
    assert max(Counter(IDS).values()) == 1


def test_every_requirement_is_there_once_and_in_order() -> None:
    assert [number for row in ROWS for number in ids_of(row[0])] == IDS


def test_every_row_is_read() -> None:
    lines = [line for line in PAGE.splitlines() if re.match(r"\| *\d", line)]
    assert len(lines) == len(ROWS)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_a_row_has_a_verdict_and_what_shows_it(row) -> None:
    _, verdict, how = row
    assert verdict in VERDICTS
    if verdict == "met":
        named = re.findall(r"`([^`]+)`", how)
        assert [it for it in named if "::" in it or it in REQUIREMENTS or (ROOT / it).is_file()]
    if verdict == "not met":
        assert re.search(r"\bNeeds \S|\bas \d", how), "what would be needed?"


def test_everything_that_is_named_exists() -> None:
    assert [test for test in named_tests(PAGE) if not exists(test)] == []
    hyphened = set(re.findall(r"`([a-z]+(?:-[a-z]+)+)`", PAGE))
    # What else is written so is a part of AWS's or of HTTP.
    assert hyphened - REQUIREMENTS <= {"no-store", "rds-ca-rsa2048-g1"}
    paths = set(re.findall(r"`([\w./-]+/[\w./-]+)`", PAGE))
    assert [path for path in sorted(paths) if not (ROOT / path).is_file()] == []


def test_pages_store_nothing_but_the_zone() -> None:
    scripts = [script.read_text() for script in (ROOT / "src/tally/pages").rglob("*.js")]
    assert len(scripts) == 6
    storing = r"(?:(?:local|session)Storage|indexedDB|\.cookie|caches\.)[^,)]*"
    assert sorted(re.findall(storing, "\n".join(scripts))) == [
        'localStorage.getItem("zone"',
        'localStorage.setItem("zone"',
    ]
