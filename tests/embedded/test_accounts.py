"""Started as root: each part has a user of its own, and no other user reaches the database."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import asyncpg
import httpx
import pytest

from tally.embedded import postgres
from tally.embedded.accounts import NOBODY, SERVER, SERVICES, Account, give
from tests.support.embedded_postgres import AS_ROOT, query
from tests.support.processes import wait_for

pytestmark = pytest.mark.skipif(not AS_ROOT, reason="only root hands its work to other users")

PAGES = ("/", "/adder_service", "/display_service", "/reset_service", "/openapi.json")
# Logs in by the libraries of PostgreSQL's own, and says who it is then.
LOG_IN = ["-X", "-A", "-t", "-c", "SELECT current_user"]


def log_in(server, account, role):
    """What a process of the account gets for `psql`."""
    programs = Path(f"/proc/{server.pid}/exe").resolve().parent
    return subprocess.run(
        [programs / "psql", *LOG_IN, server.url(role)],
        user=account.uid,
        group=account.gid,
        extra_groups=[],
        cwd="/",
        env={"PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def with_roles(shared):
    for role in ("tally_adder", "tally_operator"):
        query(
            shared,
            f"DO $$ BEGIN CREATE ROLE {role} LOGIN; EXCEPTION WHEN duplicate_object THEN END $$",
        )
    return shared


@pytest.mark.parametrize("role", ["postgres", "tally_adder", "tally_operator"])
@pytest.mark.parametrize("account", [NOBODY, Account(1, 1), Account(NOBODY.uid, SERVER.gid)])
def test_no_other_user_reaches_the_socket(with_roles, account, role):
    done = log_in(with_roles, account, role)
    assert done.returncode == 2
    assert "Permission denied" in done.stderr


@pytest.mark.parametrize(
    ("account", "role", "allowed"),
    [
        (Account(0, 0), "postgres", True),
        (Account(0, 0), "tally_adder", True),
        (SERVICES, "tally_adder", True),
        (SERVICES, "tally_operator", False),
        (SERVICES, "postgres", False),
        # Had it the group by some way.
        (Account(NOBODY.uid, SERVICES.gid), "postgres", False),
    ],
)
def test_only_root_is_the_superuser(with_roles, account, role, allowed):
    done = log_in(with_roles, account, role)
    assert done.stdout == (f"{role}\n" if allowed else "")
    if not allowed:
        assert "Peer authentication failed" in done.stderr


def test_what_an_older_release_left_to_nobody_goes_on_under_a_user_of_its_own(roomy):
    directory = roomy / "data"
    with postgres.start(directory) as server:
        query(server, "CREATE TABLE kept AS SELECT 42 AS value")
        sockets = server.sockets
    (directory / "cluster" / "pg_hba.conf").write_text("local all all trust\n")
    give(directory / "cluster", NOBODY)
    shutil.rmtree(sockets)
    sockets.mkdir(mode=0o700)
    os.chown(sockets, *NOBODY)
    with postgres.start(directory) as server:
        assert query(server, "SELECT value FROM kept") == 42
        owners = {path.lstat().st_uid for path in (directory / "cluster").rglob("*")}
        assert owners == {SERVER.uid}
        assert Path(f"/proc/{server.pid}").stat().st_uid == SERVER.uid
        assert log_in(server, NOBODY, "postgres").returncode == 2
        assert log_in(server, SERVICES, "postgres").returncode == 2


def test_giving_follows_no_link(roomy):
    (roomy / "mine").write_text("")
    tree = roomy / "tree"
    tree.mkdir()
    (tree / "link").symlink_to(roomy / "mine")
    give(tree, NOBODY)
    assert (roomy / "mine").stat().st_uid == 0
    assert (tree / "link").lstat().st_uid == NOBODY.uid


def status_of(pid):
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return {line.split(":")[0]: line.split(":")[1].split() for line in lines}


def test_the_services_give_up_root_for_good(tally_up):
    running = tally_up()
    status = status_of(running.process.pid)
    assert status["Uid"] == [str(SERVICES.uid)] * 4
    assert status["Gid"] == [str(SERVICES.gid)] * 4
    assert status["Groups"] == []
    assert int(status["CapPrm"][0], 16) == int(status["CapEff"][0], 16) == 0
    # What they need of files they have read: all pages, the contract, static files.
    for path in PAGES:
        assert httpx.get(f"{running.url}{path}", headers={"Accept": "text/html"}).status_code == 200
    assert httpx.get(f"{running.url}/none", headers={"Accept": "text/html"}).status_code == 404
    assert running.stop() == 0


# Runs the command, and tells of each module that is loaded and each file opened without root.
TOLD = """
import os, sys
def tell(event, arguments):
    if event in ("import", "open") and os.geteuid() != 0:
        os.write(2, f"needs {event} {arguments[0]}\\n".encode())
sys.addaudithook(tell)
from tally.cli import main
main()
"""


def test_services_need_no_file_once_they_gave_up_root(tmp_path, roomy):
    """Those of Tally and of Python may be out of their reach, as in root's home."""
    notes = tmp_path / "notes"
    with notes.open("wb") as stderr:
        process = subprocess.Popen(
            [sys.executable, "-c", TOLD, "up", "--port", "0"],
            env={**os.environ, "TALLY_DATA_DIR": str(roomy / "data")},
            stdout=subprocess.DEVNULL,
            stderr=stderr,
        )
    try:
        wait_for(lambda: "Tally is at" in notes.read_text(), said=notes.read_text)
        url = notes.read_text().partition("Tally is at ")[2].split()[0]
        with httpx.Client(base_url=url, headers={"Accept": "text/html"}) as client:
            for path in (*PAGES, "/none", "/display_service/total", "/display_service/entries.csv"):
                client.get(path)
            client.post("/adder_service", data={"value": "1"}, headers={"Origin": url})
            client.post("/adder_service/entries", json={"values": [1, 2]})
            client.post("/adder_service/entries", content=b"\xff")
            client.post("/reset_service/resets")
            client.delete("/reset_service/resets/1")
        os.kill(postgres.running(roomy / "data").pid, signal.SIGKILL)
        wait_for(lambda: httpx.get(f"{url}/display_service/total").status_code == 200)
    finally:
        process.terminate()
        assert process.wait() == 0
    assert [line for line in notes.read_text().splitlines() if line.startswith("needs")] == []


def test_a_service_alone_gives_up_root_too(ledger, tmp_path):
    notes = tmp_path / "notes"
    with notes.open("wb") as stderr:
        process = subprocess.Popen(
            [sys.executable, "-m", "tally", "serve", "display", "--port", "0"],
            env={**os.environ, "TALLY_DISPLAY_DATABASE_URL": ledger.url("tally_display")},
            stdout=subprocess.DEVNULL,
            stderr=stderr,
        )
    try:
        wait_for(lambda: "Tally is at" in notes.read_text(), said=notes.read_text)
        assert status_of(process.pid)["Uid"] == [str(SERVICES.uid)] * 4
        url = notes.read_text().split()[-1]
        assert httpx.get(f"{url}/display_service/total").status_code == 200
    finally:
        process.terminate()
        assert process.wait() == 0


def test_postgres_is_started_again_for_services_that_gave_up_root(tally_up):
    running = tally_up()
    server = postgres.running(running.folder / "data")
    os.kill(server.pid, signal.SIGKILL)
    entries = f"{running.url}/adder_service/entries"
    wait_for(lambda: httpx.post(entries, json={"value": 1}).status_code == 201)
    assert running.stop() == 0
    assert postgres.running(running.folder / "data") is None


def test_all_ends_with_services_that_are_killed(tally_up):
    running = tally_up()
    server = postgres.running(running.folder / "data")
    running.process.kill()
    running.process.wait()
    again = tally_up(running.folder)  # at once: the lock went with the process
    assert not server.alive
    assert httpx.get(f"{again.url}/display_service/total").status_code == 200
    assert again.stop() == 0


def test_services_whose_keeper_is_killed_stop_and_say_why(tally_up):
    """A service manager starts all again; without it nobody could start PostgreSQL."""
    running = tally_up()
    server = postgres.running(running.folder / "data")
    (keeper,) = children(running.process.pid)
    os.kill(keeper, signal.SIGKILL)
    assert running.process.wait() == 3
    assert "ended by itself; start again" in (running.folder / "stderr.log").read_text()
    wait_for(lambda: not server.alive)


def children(pid):
    listed = ["pgrep", "-P", str(pid)]
    done = subprocess.run(listed, capture_output=True, text=True, check=True)
    return [int(child) for child in done.stdout.split()]


def test_a_request_to_stop_that_reaches_all_processes_loses_nothing(tally_up):
    """As a service manager sends it to a whole group: the database stays until services ended."""
    running = tally_up()
    keepers = children(running.process.pid)
    for pid in keepers:
        os.kill(pid, signal.SIGTERM)
    answer = httpx.post(f"{running.url}/adder_service/entries", json={"value": 1})
    assert answer.status_code == 201
    assert running.stop() == 0
    assert all(not Path(f"/proc/{pid}").exists() for pid in keepers)


async def test_peers_are_told_by_the_kernel(shared):
    """The rules are those in force, and not only in a file."""
    connection = await asyncpg.connect(shared.admin_url)
    rules = await connection.fetch("SELECT user_name, auth_method FROM pg_hba_file_rules")
    await connection.close()
    assert [(rule["user_name"], rule["auth_method"]) for rule in rules] == [
        (["tally_adder", "tally_display", "tally_reset"], "trust"),
        (["all"], "peer"),
    ]
