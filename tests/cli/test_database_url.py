"""Which database a command works on: the one that is set, or this machine's own."""

import re
import shutil
import tempfile
from pathlib import Path

import pytest

from tests.support.command import refusal, result, run

COMMANDS = {
    "up": "up --port 0",
    "serve": "serve adder --port 0",
    "migrate": "migrate",
    "audit": "audit --json",
    "add": "add 1",
    "export": "export",
    "reset": "reset --yes",
    "undo": "undo 1",
    "purge": "purge --older-than 1d --yes",
    "health": "health adder",
}
BROKEN = [
    "postgresql://me:h/rse@localhost/tally",
    "postgresql://me:h#rse@localhost/tally",
    "postgresql://me:h?rse@localhost/tally",
    "postgresql://me:h@rse@localhost/tally",
    "postgresql://me:h%rse@localhost/tally",
    "postgresql://me:rse@localhost:h/tally",
    "postgresql://me:h-rse@localhost:notaport/tally",
    "postgresql://localhost/tally?passwort=h-rse",
    "mysql://me:h-rse@localhost/tally",
]


@pytest.mark.parametrize(
    ("command", "url", "log"),
    [
        (command, BROKEN[(number + shift) % len(BROKEN)], log)
        for number, command in enumerate(COMMANDS)
        for shift, log in enumerate(["json", "text"])
    ],
)
def test_every_command_refuses_a_url_that_can_t_be_read_and_shows_nothing_of_it(
    tmp_path, command, url, log
) -> None:
    file = tmp_path / "url"
    file.write_text(url)
    variables = {
        "json": {"TALLY_DATABASE_URL": url},
        "text": {"TALLY_ADDER_DATABASE_URL_FILE": str(file)},
    }
    done = run(*COMMANDS[command].split(), TALLY_LOG=log, **variables[log])
    message = refusal(done, 2)
    assert re.match(r"tally: TALLY_(ADDER_)?DATABASE_URL (must be|has)", message)
    assert "rse" not in done.stdout + done.stderr
    assert "%2F" in message or "libpq does not know" in message


def test_works_beside_a_running_tally(server) -> None:
    folder = str(server.folder / "data")
    added = result(run("add", "5", "--json", TALLY_DATA_DIR=folder))
    assert added["last_id"] >= 1
    assert server.process.poll() is None


def test_works_alone_and_keeps_the_data() -> None:
    folder = Path(tempfile.mkdtemp(prefix="tally-alone-"))
    folder.chmod(0o755)
    data = str(folder / "data of mine")
    assert result(run("migrate", "--json", TALLY_DATA_DIR=data))["migrated"]
    assert result(run("add", "1", "2", "--json", TALLY_DATA_DIR=data))["sum"] == "3"
    assert result(run("add", "4", "--json", TALLY_DATA_DIR=data))["sum"] == "7"
    shutil.rmtree(folder)
