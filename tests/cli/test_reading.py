"""`tally total`, `entries`, `resets` and `watch`: what the API answers, on a terminal."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.support.command import refusal, result
from tests.support.postgres import execute


def lines(done: subprocess.CompletedProcess[str]) -> list[list[str]]:
    """The cells of a table's rows, below its titles."""
    assert done.returncode == 0, done.stderr
    return [line.split() for line in done.stdout.splitlines()[1:]]


@pytest.fixture
def filled(tally) -> None:
    assert tally("add", "12.5", "-3", "0.000000001").returncode == 0


def test_the_total_and_of_how_many(tally, filled) -> None:
    assert tally("total").stdout == "9.500000001 (3 entries)\n"
    assert result(tally("total", "--json")) == {"sum": "9.500000001", "count": 3, "last_id": 3}


def test_the_total_at_a_time_is_what_it_was_whatever_came_since(tally, filled) -> None:
    entries = result(tally("entries", "--json"))["entries"]
    then = entries[0]["added_at"]
    assert tally("reset", "--yes").returncode == 0
    assert tally("add", "1").returncode == 0
    assert result(tally("total", "--at", then, "--json")) == {"sum": "9.500000001", "last_id": 3}
    assert tally("total", "--at", then).stdout == "9.500000001 (through entry 3)\n"
    before = result(tally("total", "--at", "2000-01-01T00:00:00Z", "--json"))
    assert before == {"sum": "0", "last_id": 0}


def test_what_is_no_time_is_refused(tally) -> None:
    assert "--at" in refusal(tally("total", "--at", "yesterday"), 2)


def test_entries_newest_first_in_pages(tally, filled) -> None:
    rows = [(it[0], it[3], it[4]) for it in lines(tally("entries", "--limit", "2"))]
    assert rows == [("3", "0.000000001", "9.500000001"), ("2", "-3", "9.5")]
    assert [it[0] for it in lines(tally("entries", "--before", "2"))] == ["1"]
    newest, *_ = result(tally("entries", "--json"))["entries"]
    assert (newest["id"], newest["value"], newest["sum_after"]) == (3, "0.000000001", "9.500000001")
    assert tally("entries", "--before", "1").stdout == "no entries\n"


def test_resets_and_their_undoing(tally, filled) -> None:
    assert tally("resets").stdout == "no resets\n"
    for arguments in (("reset", "--yes"), ("undo",)):
        assert tally(*arguments).returncode == 0
    [row] = lines(tally("resets"))
    assert (row[0], row[3], row[4], len(row)) == ("1", "9.500000001", "3", 7)
    [made] = result(tally("resets", "--json"))["resets"]
    assert (made["id"], made["sum"], made["undone_at"] is None) == (1, "9.500000001", False)


@pytest.mark.parametrize("arguments", [("--limit", "0"), ("--before", "x"), ("--limit", "1001")])
def test_what_is_no_page_is_refused(tally, arguments) -> None:
    assert arguments[0] in refusal(tally("entries", *arguments), 2)


@contextmanager
def watching(url: str, *arguments: str) -> "Iterator[subprocess.Popen[str]]":
    with subprocess.Popen(
        [sys.executable, "-m", "tally", "watch", *arguments],
        env={**os.environ, "TALLY_DATABASE_URL": url},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def test_watch_says_each_change_until_it_is_stopped(tally, ledger) -> None:
    with watching(ledger.owner_url, "--json") as process:
        assert process.stdout is not None
        for value, total in ((None, "0"), ("1.5", "1.5"), ("-2", "-0.5")):
            if value is not None:
                assert tally("add", value).returncode == 0
            assert json.loads(process.stdout.readline())["sum"] == total
        process.send_signal(signal.SIGINT)
        assert process.communicate(timeout=60) == ("", "")
        assert process.returncode == -signal.SIGINT


def test_watch_goes_on_when_its_connection_was_lost(tally, ledger) -> None:
    with watching(ledger.owner_url) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "0 (0 entries)\n"
        execute(
            ledger.owner_url,
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()",
        )
        assert tally("add", "7").returncode == 0
        assert process.stdout.readline() == "7 (1 entry)\n"


def test_watch_ends_where_nobody_reads(tally, ledger) -> None:
    with watching(ledger.owner_url) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.stdout.close()
        assert tally("add", "7").returncode == 0
        assert process.wait(timeout=60) == 0
