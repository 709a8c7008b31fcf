"""`tally backup` and `tally restore`: all of a ledger, as of one moment, or nothing."""

import asyncio
import os
import shutil
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import asyncpg
import httpx
import pytest

from tally.ledger.backup import backup as run_backup
from tally.ledger.backup import login
from tally.ledger.database import Database
from tally.ledger.schema import REVISION
from tests.support.command import refusal, result, run
from tests.support.embedded_postgres import AS_ROOT
from tests.support.postgres import Ledger, execute, urls_of, with_database


@pytest.fixture
def empty(postgres_server) -> Iterator[str]:
    """The URL of a database without a ledger."""
    execute(postgres_server.admin_url, "CREATE DATABASE tally_restored")
    yield with_database(postgres_server.admin_url, "tally_restored")
    execute(postgres_server.admin_url, "DROP DATABASE tally_restored WITH (FORCE)")


@pytest.fixture(scope="module")
def source(postgres_server, _template) -> Iterator[str]:
    """The URL of a ledger with entries, a reset, an undone one, a purge, keys, and history."""
    server = postgres_server.admin_url
    execute(server, "CREATE DATABASE tally_source TEMPLATE tally_template")
    url = with_database(server, "tally_source")

    def do(*commands: list[str]) -> None:
        for arguments in commands:
            result(run(*arguments, "--json", TALLY_DATABASE_URL=url))

    do(["add", *["1"] * 256], ["reset", "--yes"], ["purge", "--older-than", "0s", "--yes"])
    do(["add", "3", "--key", "three"], ["reset", "--yes", "--key", "first"], ["undo"])
    # As many as complete a stretch of the history.
    do(["add", *["1", "-1"] * 128], ["add", "9"])
    execute(url, "SELECT tally.undo_entry(last_id) FROM tally.total")
    do(["add", "0.000000001", "4", "--key", "four"])
    do(["reset", "--yes", "--key", "second"], ["reset", "--yes", "--key", "nothing"])
    do(["add", "5.5"])
    yield url
    execute(server, "DROP DATABASE tally_source WITH (FORCE)")


@pytest.fixture(scope="module")
def backed_up(source: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    file: Path = tmp_path_factory.mktemp("backup") / "tally.backup"
    done = result(run("backup", str(file), "--json", TALLY_DATABASE_URL=source))
    assert done == {"file": str(file), "count": 1, "sum": "5.5"}
    assert stat.S_IMODE(file.stat().st_mode) == 0o600, "only its owner may read it"
    assert list(file.parent.iterdir()) == [file]
    return file


@pytest.fixture
def backup(backed_up: Path, tmp_path: Path) -> Path:
    """A backup of the source, alone in its folder."""
    return Path(shutil.copy(backed_up, tmp_path))


def rows(url: str) -> dict[str, list[tuple]]:
    """Everything in a ledger's tables."""

    async def read() -> dict[str, list[tuple]]:
        connection = await asyncpg.connect(url)
        tables = await connection.fetch(
            "SELECT relname FROM pg_class"
            " WHERE relnamespace = 'tally'::regnamespace AND relkind = 'r'"
        )
        found = {
            name: [tuple(row) for row in await connection.fetch(f"SELECT * FROM tally.{name}")]
            for (name,) in tables
        }
        await connection.close()
        return found

    return asyncio.run(read())


def test_all_of_it_comes_back(source: str, backup: Path, empty: str) -> None:
    restored = result(run("restore", str(backup), "--json", TALLY_DATABASE_URL=empty))
    assert restored == {"count": 1, "sum": "5.5"}
    assert rows(empty) == rows(source)
    assert all(rows(empty).values()), "a table without a row shows nothing"


def test_a_repeat_with_its_key_is_still_a_repeat(backup: Path, empty: str) -> None:
    result(run("restore", str(backup), "--json", TALLY_DATABASE_URL=empty))
    for arguments in (["add", "3", "--key", "three"], ["add", "0.000000001", "4", "--key", "four"]):
        again = result(run(*arguments, "--json", TALLY_DATABASE_URL=empty))
        assert again["replayed"]
    for key in ("first", "second", "nothing"):
        made = result(run("reset", "--yes", "--key", key, "--json", TALLY_DATABASE_URL=empty))
        assert made["replayed"]
    assert result(run("undo", "--json", TALLY_DATABASE_URL=empty))["sum"] == "7.000000001"
    assert result(run("audit", "--json", TALLY_DATABASE_URL=empty))["clean"]


def test_the_roles_have_their_rights_and_no_others(
    backup: Path, empty: str, postgres_server
) -> None:
    result(run("restore", str(backup), "--json", TALLY_DATABASE_URL=empty))
    allowed = {
        "tally_adder": ["SELECT tally.free_total()"],
        "tally_display": ["SELECT * FROM tally.entry"],
        "tally_reset": ["SELECT tally.reset_total(gen_random_uuid())"],
        "tally_operator": ["SELECT * FROM tally.answer"],
    }
    for role in allowed:
        url = with_database(postgres_server.url(role), "tally_restored")
        for owner, statements in allowed.items():
            if owner == role:
                execute(url, *statements)
        if role != "tally_reset":
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                execute(url, "SELECT tally.reset_total(gen_random_uuid())")


def test_an_older_release_s_backup_is_brought_to_this_one(
    postgres_server, backup: Path, empty: str, tmp_path: Path
) -> None:
    from tally.ledger.migrate import lock, upgrade

    execute(postgres_server.admin_url, "CREATE DATABASE tally_older")
    older = with_database(postgres_server.admin_url, "tally_older")

    async def make() -> None:
        database = Database(older, timeout=60)
        async with database.engine.begin() as connection:
            await lock(connection)
            await connection.run_sync(upgrade, "0001")
        await database.close()

    asyncio.run(make())
    writer = "'00000000-0000-0000-0000-000000000001'"
    execute(
        older,
        f"SELECT tally.register_writer({writer})",
        f"SELECT tally.add_batch({writer}, 1, '{{1,2}}', NULL, NULL, NULL, NULL)",
    )
    file = str(tmp_path / "older.backup")
    assert result(run("backup", file, "--json", TALLY_DATABASE_URL=older))["sum"] == "3"
    execute(postgres_server.admin_url, "DROP DATABASE tally_older WITH (FORCE)")
    result(run("restore", file, "--json", TALLY_DATABASE_URL=empty))
    assert result(run("add", "4", "--json", TALLY_DATABASE_URL=empty))["sum"] == "7"
    assert rows(empty)["alembic_version"] == [(REVISION,)]


def test_of_an_archive_nothing_but_rows_is_taken(ledger: Ledger, empty: str, tally, tmp_path):
    """Its functions would run as the owner of the database."""
    execute(
        ledger.owner_url,
        "CREATE FUNCTION tally.evil() RETURNS trigger LANGUAGE plpgsql AS"
        " 'BEGIN CREATE TABLE public.owned(); RETURN NULL; END'",
        "CREATE TRIGGER evil AFTER INSERT ON tally.entry EXECUTE FUNCTION tally.evil()",
        "ALTER TABLE tally.entry DISABLE TRIGGER evil",
    )
    result(tally("add", "5", "--json"))
    execute(ledger.owner_url, "ALTER TABLE tally.entry ENABLE TRIGGER evil")
    file = str(tmp_path / "evil.backup")
    result(tally("backup", file, "--json"))
    result(run("restore", file, "--json", TALLY_DATABASE_URL=empty))
    found = "SELECT 1 / (count(*) = 0)::int FROM pg_class WHERE relname = 'owned'"
    execute(empty, found, "INSERT INTO tally.entry VALUES (2, 1, 6, now())", found)


class TestWhereThereIsSomething:
    def test_a_ledger_is_refused_and_named(self, source: str, backup: Path) -> None:
        before = rows(source)
        message = refusal(run("restore", str(backup), TALLY_DATABASE_URL=source), 1)
        assert "nothing was restored: there is a ledger already: 1 entries that make 5.5" in message
        assert rows(source) == before

    def test_one_that_was_never_used_is_replaced(self, backup: Path, empty: str) -> None:
        result(run("migrate", "--json", TALLY_DATABASE_URL=empty))
        assert result(run("restore", str(backup), "--json", TALLY_DATABASE_URL=empty))["count"] == 1

    def test_one_restore_of_two_at_once(self, backup: Path, empty: str) -> None:
        command = [sys.executable, "-m", "tally", "restore", str(backup)]
        environment = {**os.environ, "TALLY_DATABASE_URL": empty}
        both = [
            subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)
            for _ in range(2)
        ]
        said = sorted((process.communicate()[1], process.returncode) for process in both)
        assert sorted(status for _, status in said) == [0, 1]
        assert any("there is a ledger already" in text for text, _ in said)
        assert result(run("audit", "--json", TALLY_DATABASE_URL=empty))["checked"] == 262


class TestThatFails:
    """Then nothing is restored, whatever the reason."""

    @pytest.mark.parametrize("kept", [0.3, 0.9, 0.99])
    def test_a_part_of_a_backup(self, backup: Path, empty: str, kept: float) -> None:
        whole = backup.read_bytes()
        backup.write_bytes(whole[: int(kept * len(whole))])
        self.nothing_is_restored("nothing was restored: ", backup, empty)

    @pytest.mark.parametrize(
        ("change", "said"),
        [
            ("UPDATE tally.entry SET value = 50 WHERE id = 1", "the backup contradicts itself"),
            (
                "ALTER TABLE tally.total DROP CONSTRAINT total_count;"
                "UPDATE tally.total SET count = 7",
                "what it has for total breaks a rule",
            ),
            (
                "ALTER TABLE tally.entry ADD COLUMN more int",
                "what it has for entry does not fit",
            ),
        ],
    )
    def test_a_backup_of_a_ledger_that_was_changed(
        self, ledger: Ledger, tally, tmp_path: Path, empty: str, change: str, said: str
    ) -> None:
        result(tally("add", "5", "6", "--json"))
        execute(ledger.owner_url, change)
        file = tmp_path / "tally.backup"
        result(tally("backup", str(file), "--json"))
        self.nothing_is_restored(said, file, empty)

    def test_a_newer_release_s_backup(
        self, ledger: Ledger, tally, tmp_path: Path, empty: str
    ) -> None:
        execute(ledger.owner_url, "UPDATE tally.alembic_version SET version_num = '9999'")
        file = tmp_path / "tally.backup"
        result(tally("backup", str(file), "--json"))
        self.nothing_is_restored("run a newer release", file, empty)

    @pytest.mark.parametrize(
        ("options", "said"),
        [
            (["--schema=public"], "it is no backup of a ledger"),
            (["--schema=tally", "--exclude-table=tally.answer"], "lacks answer"),
            (["--schema=tally", "--schema-only"], "it is no backup of a ledger"),
            (["--schema=tally", "--inserts"], "it is no backup of a ledger"),
        ],
        ids=" ".join,
    )
    def test_another_archive(
        self, ledger: Ledger, tmp_path: Path, empty: str, pg_dump: str, options, said: str
    ) -> None:
        file = tmp_path / "other"
        command = [pg_dump, "--format=custom", f"--file={file}", *options, ledger.owner_url]
        subprocess.run(command, check=True)
        self.nothing_is_restored(said, file, empty)

    def nothing_is_restored(self, said: str, file: Path, url: str) -> None:
        assert said in refusal(run("restore", str(file), TALLY_DATABASE_URL=url), 1)
        assert "no ledger" in refusal(run("audit", TALLY_DATABASE_URL=url), 3)


@pytest.fixture
def pg_dump() -> str:
    from tally.embedded.programs import newest_programs

    return newest_programs()["pg_dump"]


def test_an_archive_of_the_whole_database_is_a_backup_too(
    source: str, tmp_path: Path, empty: str, pg_dump: str
) -> None:
    file = tmp_path / "whole"
    execute(source, "CREATE TABLE public.other AS SELECT 1")
    subprocess.run([pg_dump, "-Fc", f"--file={file}", source], check=True)
    assert result(run("restore", str(file), "--json", TALLY_DATABASE_URL=empty))["count"] == 1


class TestTheFile:
    def test_is_replaced_only_by_a_whole_one(
        self, tally, backup: Path, tmp_path_factory, pg_dump: str
    ) -> None:
        before = backup.read_bytes()
        breaking = tmp_path_factory.mktemp("programs") / "pg_dump"
        breaking.write_text(
            f'#!/bin/sh\n[ "$1" = --version ] && exec {pg_dump} --version\n'
            f'{pg_dump} "$@" | head -c 100\necho "pg_dump: error: it broke" >&2\nexit 1\n'
        )
        breaking.chmod(0o755)
        done = tally("backup", str(backup), "--programs", str(breaking.parent))
        assert "pg_dump failed: it broke" in refusal(done, 1)
        assert backup.read_bytes() == before
        assert list(backup.parent.iterdir()) == [backup]

    def test_is_replaced_through_a_link(self, tally, backup: Path) -> None:
        link = backup.with_name("newest")
        link.symlink_to(backup)
        backup.write_bytes(b"")
        result(tally("backup", str(link), "--json"))
        assert link.is_symlink()
        assert backup.stat().st_size

    def test_may_be_a_stream(self, source: str, empty: str) -> None:
        tally = f"{sys.executable} -m tally"
        pipe = f"{tally} backup - | TALLY_DATABASE_URL='{empty}' {tally} restore - --json"
        done = subprocess.run(
            ["sh", "-c", pipe],
            env={**os.environ, "TALLY_DATABASE_URL": source},
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stdout == '{"count":1,"sum":"5.5"}\n'
        assert done.stderr == "backed up 1 entries totalling 5.5\n"
        assert rows(empty) == rows(source)

    def test_may_be_a_device_and_stays_one(self, tally) -> None:
        result(tally("backup", "/dev/null", "--json"))
        assert Path("/dev/null").is_char_device()
        assert "No space left on device" in refusal(tally("backup", "/dev/full"), 1)

    @pytest.mark.skipif(not AS_ROOT, reason="only root may mount a small disk")
    def test_on_a_full_disk_is_none(self, tally, tmp_path: Path) -> None:
        values = "".join(f"{number}\n" for number in range(200_000))
        result(tally("add", "--file", "-", "--format", "csv", "--json", stdin=values))
        mount = ["mount", "-t", "tmpfs", "-o", "size=256k", "none", str(tmp_path)]
        mounted = subprocess.run(mount, capture_output=True, text=True, check=False)
        if mounted.returncode != 0:
            why = mounted.stderr.strip()
            pytest.skip(f"root may mount no disk ({why}): run `make test` outside a container")
        try:
            for arguments in (["backup"], ["export", "--output"]):
                message = refusal(tally(*arguments, str(tmp_path / "file")), 1)
                assert "file can't be written: No space left on device" in message
                assert list(tmp_path.iterdir()) == []
        finally:
            subprocess.run(["umount", str(tmp_path)], check=True)


def test_adds_go_on_and_the_backup_is_of_one_moment(
    tally_up: Callable, tmp_path: Path, empty: str, postgres_server
) -> None:
    """And an adder that goes on, on a database that was put back, begins anew."""
    urls = {
        name: with_database(url, "tally_restored") for name, url in urls_of(postgres_server).items()
    }
    running = tally_up(**urls)
    stop = threading.Event()
    statuses: list[int] = []

    def add() -> None:
        with httpx.Client(base_url=running.url, timeout=60) as http:
            while not stop.is_set():
                added = http.post("/adder_service/entries", json={"values": [1, 2, 3]})
                statuses.append(added.status_code)

    adding = threading.Thread(target=add)
    adding.start()
    try:
        file = str(tmp_path / "tally.backup")
        kept = result(run("backup", file, "--json", TALLY_DATABASE_URL=empty))
        assert kept["count"] % 3 == 0
        assert int(kept["sum"]) == 2 * kept["count"]
        # The total first, as whoever adds takes it; else the two may wait for each other.
        execute(empty, "LOCK TABLE tally.total; DROP SCHEMA tally CASCADE")
        restored = result(run("restore", file, "--json", TALLY_DATABASE_URL=empty))
        assert restored == {name: kept[name] for name in ("count", "sum")}
        before = len(statuses)
        while statuses[before:].count(201) < 3:
            assert adding.is_alive()
            stop.wait(0.01)
    finally:
        stop.set()
        adding.join()
    assert set(statuses) <= {201, 500, 503}
    audited = result(run("audit", "--json", TALLY_DATABASE_URL=empty))
    assert audited["clean"]
    assert audited["checked"] > kept["count"]
    assert running.stop() == 0


def test_what_is_missing_is_named(ledger: Ledger, tally, tmp_path: Path) -> None:
    file, folder = str(tmp_path / "tally.backup"), str(tmp_path)
    for command in (["backup", file], ["restore", "-"]):
        message = refusal(tally(*command, "--programs", folder, stdin="PGDMP"), 1)
        assert f"{folder} holds no pg_dump of PostgreSQL" in message
        assert "apt install postgresql-client-" in message


async def test_a_program_that_ends_as_it_is_ended_is_no_news(
    ledger: Ledger, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def write(block: bytes) -> None:
        if b"last" in block:
            raise OSError("full")

    program = tmp_path / "pg_dump"
    program.write_text("#!/bin/sh\necho first\nsleep 0.01\necho last\n")
    program.chmod(0o700)
    database = ledger.database()
    for _ in range(100):  # some met the moment where two waited for one program
        with pytest.raises(OSError, match="full"):
            await run_backup(database, str(program), write)
    await database.close()
    assert caplog.records == []


@pytest.mark.parametrize(
    ("url", "host", "said", "password"),
    [
        (
            "postgresql://me:p%40ss@h:5432/t?sslmode=require",
            ("h", 5432),
            "host='h' port='5432' sslmode='require' user='me' dbname='t'",
            "p@ss",
        ),
        (
            "postgresql://me@a,b/t?password=p%26s&target_session_attrs=primary",
            ("b", None),
            "host='b' user='me' dbname='t'",
            "p&s",
        ),
        ("postgresql://it%27s@/a%5Cb", ("", None), r"user='it\'s' dbname='a\\b'", None),
    ],
)
def test_no_argument_holds_a_password(
    url: str, host: tuple[str, int | None], said: str, password: str | None
) -> None:
    address, apart = login(url, host)
    assert apart == password
    assert set(address.split()) == {*said.split(), "application_name='tally", "backup'"}
