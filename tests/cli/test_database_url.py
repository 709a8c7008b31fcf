"""Which database a command works on: the one that is set, or this machine's own."""

import shutil
import tempfile
from pathlib import Path

import pytest

from tests.support.command import refusal, result, run


@pytest.mark.parametrize("command", [["up", "--port", "0"], ["audit"], ["migrate"]])
@pytest.mark.parametrize(
    ("url", "status", "said"),
    [
        ("mysql://root:secret@localhost/x", 2, "TALLY_DATABASE_URL must be a URL"),
        ("postgresql://me:secret@127.0.0.1:1/tally", 3, "start the server or correct the URL"),
        ("postgresql://me:secret@127.0.0.1:notaport/tally", 2, "TALLY_DATABASE_URL must be a URL"),
    ],
)
def test_broken_url_is_one_line_without_the_password(command, url, status, said) -> None:
    message = refusal(run(*command, TALLY_DATABASE_URL=url), status)
    assert said in message
    assert "secret" not in message


def test_missing_database_and_missing_schema(ledger, postgres_server) -> None:
    elsewhere = ledger.owner_url.replace("/tally_test", "/nowhere_test")
    assert "there is no such database" in refusal(run("audit", TALLY_DATABASE_URL=elsewhere), 3)
    empty = postgres_server.admin_url.replace("/tally?", "/postgres?")
    assert "tally migrate" in refusal(run("audit", TALLY_DATABASE_URL=empty), 1)


def test_works_beside_a_running_tally(server) -> None:
    folder = str(server.folder / "data")
    added = result(run("add", "5", "--json", TALLY_DATA_DIR=folder))
    assert added["last_id"] >= 1
    assert server.process.poll() is None


def test_works_alone_and_keeps_the_data() -> None:
    folder = Path(tempfile.mkdtemp(prefix="tally-alone-"))
    folder.chmod(0o755)
    data = str(folder / "data of mine")
    assert result(run("add", "1", "2", "--json", TALLY_DATA_DIR=data))["sum"] == "3"
    assert result(run("add", "4", "--json", TALLY_DATA_DIR=data))["sum"] == "7"
    shutil.rmtree(folder)
