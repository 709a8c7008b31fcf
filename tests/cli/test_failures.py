"""Every command in every way that it can fail: one line on stderr, and --help's exit status."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.command import refusal, result, run
from tests.support.postgres import Ledger, execute, with_database

# What works on a ledger that is there, and a restore, which wants none.
COMMANDS: dict[str, list[str]] = {
    "add": ["add", "5"],
    "export": ["export"],
    "reset": ["reset", "--yes"],
    "undo": ["undo"],
    "audit": ["audit"],
    "purge": ["purge", "--older-than", "1d", "--yes"],
    "backup": ["backup", "-"],
    **{name: [name] for name in ("total", "entries", "resets", "watch")},
}
# Roles, and the commands that they may run.
MAY = {
    "tally_adder": {"add", "total", "watch"},
    "tally_display": {"export", "total", "entries", "watch"},
}
MAKES = {"migrate": ["migrate"], "restore": ["restore", "-"]}
SERVES = {"up": ["up", "--port", "0"]}
ALL = COMMANDS | MAKES | SERVES


@pytest.fixture(scope="module")
def archive(tmp_path_factory, postgres_server, _template) -> Path:
    """A backup of an empty ledger."""
    file: Path = tmp_path_factory.mktemp("backup") / "tally.backup"
    url = with_database(postgres_server.admin_url, "tally_template")
    result(run("backup", str(file), "--json", TALLY_DATABASE_URL=url))
    return file


@pytest.fixture
def fails(archive: Path) -> Callable[..., str]:
    """Run a command that must fail; its line."""

    def fails(name: str, status: int, **environment: str) -> str:
        arguments = ["restore", str(archive)] if name == "restore" else ALL[name]
        return refusal(run(*arguments, **environment), status)

    return fails


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("postgresql://me:secret@127.0.0.1:1/tally", "start the server"),
        ("{server}/nowhere", "no such database"),
        ("{nobody}/postgres", "correct the user or the password"),
    ],
    ids=["no server", "no database", "no such user"],
)
def test_no_database(fails, postgres_server, name: str, url: str, said: str) -> None:
    known, unknown = postgres_server.admin_url, postgres_server.url("nobody at all")
    if url.startswith("{"):
        url = with_database(known if "server" in url else unknown, url.rpartition("/")[2])
    message = fails(name, 3, TALLY_DATABASE_URL=url)
    assert said in message
    assert "secret" not in message


@pytest.mark.parametrize("name", COMMANDS)
def test_no_ledger_in_the_database(fails, postgres_server, name: str) -> None:
    url = with_database(postgres_server.admin_url, "postgres")
    assert "there is no ledger in TALLY_DATABASE_URL" in fails(name, 3, TALLY_DATABASE_URL=url)


@pytest.mark.parametrize("name", COMMANDS)
def test_no_ledger_in_the_folder_and_none_is_made(fails, tmp_path: Path, name: str) -> None:
    data = tmp_path / "data"
    message = fails(name, 3, TALLY_DATA_DIR=str(data))
    assert f"there is no ledger in {data}" in message
    assert "`tally migrate` makes" in message
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["add", "export", "reset", "undo", "audit", "purge"])
def test_an_older_schema(fails, ledger: Ledger, name: str) -> None:
    execute(ledger.owner_url, "UPDATE tally.alembic_version SET version_num = '0001'")
    assert "run `tally migrate` first" in fails(name, 1, TALLY_DATABASE_URL=ledger.owner_url)


def test_a_newer_schema(fails, ledger: Ledger) -> None:
    execute(ledger.owner_url, "UPDATE tally.alembic_version SET version_num = '9999'")
    assert "run a newer release" in fails("up", 1, TALLY_DATABASE_URL=ledger.owner_url)


@pytest.mark.parametrize(
    ("name", "role"),
    [(name, role) for role, may in MAY.items() for name in ALL if name not in may],
)
def test_a_role_that_may_not(fails, ledger: Ledger, name: str, role: str) -> None:
    if name == "export":
        result(run("add", "1", "--json", TALLY_DATABASE_URL=ledger.owner_url))
    message = fails(name, 1 if name == "backup" else 3, TALLY_DATABASE_URL=ledger.url(role))
    assert "permission denied" in message


@pytest.mark.parametrize("name", [*ALL, "serve", "health"])
def test_an_invalid_setting(name: str) -> None:
    arguments = {**ALL, "serve": ["serve", "all"], "health": ["health", "adder"]}[name]
    if name == "restore":
        arguments = ["restore", __file__]  # settings are read only once the file has been
        assert "is no backup" in refusal(run(*arguments), 2)
        return
    message = refusal(run(*arguments, TALLY_PORT="tcp://10.0.0.1:80"), 2)
    assert "TALLY_PORT must be a port" in message
    assert "enableServiceLinks" in message


@pytest.mark.parametrize(
    "arguments",
    [
        ["nonsense"],
        ["add"],
        ["add", "--nonsense"],
        ["add", "1e3"],
        ["add", "--file", "/nowhere.csv"],
        ["add", "--file", "/", "--format", "csv"],
        ["export", "--output", "/nowhere/values.csv"],
        ["export", "--output", "/"],
        ["backup"],
        ["backup", "/nowhere/tally.backup"],
        ["restore", "/nowhere"],
        ["restore", "/"],
        ["restore", __file__],
        ["undo", "0"],
        ["purge", "--older-than", "soon", "--yes"],
        ["purge", "--older-than", "1d"],
        ["serve", "adder"],
        ["serve", "nothing"],
        ["check", "--address", "http://x"],
        ["check", "--waivers", "/nowhere"],
    ],
    ids=" ".join,
)
def test_wrong_usage(ledger: Ledger, arguments: list[str]) -> None:
    needs_none = {"TALLY_DATABASE_URL": ""} if arguments[0] == "serve" else {}
    done = run(*arguments, **{"TALLY_DATABASE_URL": ledger.owner_url} | needs_none)
    assert refusal(done, 2)
    assert done.stdout == ""


def streams(ledger: Ledger, arguments: list[str], redirection: str) -> tuple[int, str]:
    """Status and stderr of a command whose streams a shell has redirected."""
    command = [sys.executable, "-m", "tally", *arguments]
    done = subprocess.run(
        ["sh", "-c", f'exec "$@" {redirection}', "sh", *command],
        env={**os.environ, "TALLY_DATABASE_URL": ledger.owner_url},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    return done.returncode, done.stderr


@pytest.mark.parametrize("redirection", [">/dev/full", ">&-"])
@pytest.mark.parametrize(
    "arguments",
    [*COMMANDS.values(), ["migrate"], ["audit", "--json"], ["--help"], ["add", "--help"]],
    ids=" ".join,
)
def test_a_result_that_nobody_takes(ledger: Ledger, arguments: list[str], redirection: str) -> None:
    if arguments == ["undo"]:
        arguments = ["undo", "--help"]  # there is nothing to undo
    status, said = streams(ledger, arguments, redirection)
    assert status == 1
    [line] = said.splitlines()
    assert line.startswith("tally: ")
    assert {"No space left on device", "Bad file descriptor"} & {line.rpartition(": ")[2]}


@pytest.mark.parametrize("redirection", ["2>/dev/full", "2>&-", "<&-"])
@pytest.mark.parametrize(
    ("arguments", "status"), [(["audit"], 0), (["migrate"], 0), (["add", "x"], 2), (["undo"], 1)]
)
def test_what_a_command_does_needs_no_stderr(
    ledger: Ledger, arguments: list[str], status: int, redirection: str
) -> None:
    done, said = streams(ledger, arguments, redirection)
    assert done == status
    assert "Traceback" not in said


def test_standard_input_that_is_closed(ledger: Ledger) -> None:
    for arguments in (["add", "--file", "-", "--format", "csv"], ["restore", "-"]):
        status, said = streams(ledger, arguments, "<&-")
        assert status in {1, 2}
        assert said.startswith("tally: ")
        assert said.count("\n") == 1


def test_a_reader_that_has_read_enough_is_no_failure(ledger: Ledger) -> None:
    """As in `tally export | head`; but half a backup is none."""
    result(run("add", "--json", *map(str, range(9000)), TALLY_DATABASE_URL=ledger.owner_url))
    for arguments, status, said in ((["export"], 0, ""), (["backup", "-"], 1, "is not whole")):
        command = [sys.executable, "-m", "tally", *arguments]
        with subprocess.Popen(
            command,
            env={**os.environ, "TALLY_DATABASE_URL": ledger.owner_url},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            bufsize=0,
        ) as process:
            assert process.stdout is not None
            assert process.stderr is not None
            process.stdout.close()
            complaint = process.stderr.read()
        assert process.returncode == status, complaint
        assert complaint.count("\n") <= 1
        assert said in complaint


def test_a_bug_is_one_line_with_its_place(ledger: Ledger) -> None:
    script = (
        "from tally.cli import main\nfrom tally.ledger.resets import Resets\n"
        "async def broken(self): raise KeyError('secret')\n"
        "Resets.past = broken\n"
        "main(['undo'])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "TALLY_DATABASE_URL": ledger.owner_url},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 1
    assert done.stderr.startswith("tally: a bug in Tally, please report it: KeyError in ")
    assert "secret" not in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("TALLY_DATABSE_URL", "did you mean TALLY_DATABASE_URL?"),
        ("TALLY_NONSENSE", "is not a setting of Tally"),
        ("TALLY_SERVICE_HOST", ""),
        ("TALLY_PORT_8080_TCP_ADDR", ""),
    ],
)
def test_a_variable_that_is_no_setting_is_named_once(ledger: Ledger, name: str, said: str) -> None:
    done = run("audit", **{"TALLY_DATABASE_URL": ledger.owner_url, name: "x"})
    assert done.returncode == 0
    told = [line for line in done.stderr.splitlines() if name in line]
    assert len(told) == bool(said)
    assert all(said in line for line in told)
