"""Each migration brings everybody's privileges to those listed; an audit finds any beyond them."""

import shutil
import subprocess
import tempfile
from pathlib import Path

import asyncpg
import pytest

from tally.embedded import postgres
from tally.embedded.binaries import find_binaries
from tally.ledger.database import Database
from tally.ledger.migrate import migrate
from tally.ledger.reader import Reader
from tally.ledger.roles import privileges_beyond
from tests.support.command import run
from tests.support.distribution_postgres import installed, serving
from tests.support.postgres import PATIENCE, with_database

OPENED = {
    "a function": "GRANT EXECUTE ON FUNCTION tally.confirm() TO {whose}",
    "every function": "GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA tally TO {whose}",
    "a table": "GRANT INSERT ON tally.entry TO {whose}",
    "every table": "GRANT ALL ON ALL TABLES IN SCHEMA tally TO {whose}",
    "a column": "GRANT UPDATE (sum) ON tally.total TO {whose}",
    "a schema": "GRANT CREATE ON SCHEMA tally TO {whose}",
    "the database": "GRANT CREATE ON DATABASE {database} TO {whose}",
    "tables to come": "ALTER DEFAULT PRIVILEGES IN SCHEMA tally GRANT INSERT ON TABLES TO {whose}",
    "tables anywhere": "ALTER DEFAULT PRIVILEGES GRANT DELETE ON TABLES TO {whose}",
    "functions to come": (
        "ALTER DEFAULT PRIVILEGES IN SCHEMA tally GRANT EXECUTE ON FUNCTIONS TO {whose}"
    ),
}
ONLY_A_ROLE = {
    "a look": "GRANT SELECT ON tally.answer TO {whose}",
    "a look to give on": "GRANT SELECT ON tally.total TO {whose} WITH GRANT OPTION",
    "membership": "GRANT pg_write_all_data TO {whose}",
    "membership in another": "GRANT {other} TO {whose}",
    "another's membership": "GRANT {whose} TO stranger",
    "superuser": "ALTER ROLE {whose} SUPERUSER",
    "createrole": "ALTER ROLE {whose} CREATEROLE",
    "createdb": "ALTER ROLE {whose} CREATEDB",
    "replication": "ALTER ROLE {whose} REPLICATION",
    "bypassrls": "ALTER ROLE {whose} BYPASSRLS",
    "a table's ownership": "ALTER TABLE tally.entry OWNER TO {whose}",
    "a function's ownership": "ALTER FUNCTION tally.confirm() OWNER TO {whose}",
    "the schema's ownership": "ALTER SCHEMA tally OWNER TO {whose}",
    "another schema": "CREATE SCHEMA mine AUTHORIZATION {whose}",
}
CASES = [
    *((what, whose) for what in OPENED for whose in ("PUBLIC", "tally_display", "stranger")),
    *((what, "tally_display") for what in ONLY_A_ROLE),
]


@pytest.fixture
async def stranger(owner):
    await owner.execute("CREATE ROLE stranger")
    yield
    await owner.execute("DROP OWNED BY stranger; DROP ROLE stranger")


@pytest.fixture
async def found(connect):
    database = connect("postgres")

    async def run():
        return [str(privilege) for privilege in await database.run(privileges_beyond)]

    return run


@pytest.mark.parametrize(("what", "whose"), CASES)
async def test_a_privilege_beyond_the_list_is_found_and_taken_away(
    owner, connect, migrated, stranger, found, what, whose
):
    assert await found() == []
    name = await owner.fetchval("SELECT current_database()")
    statement = (OPENED | ONLY_A_ROLE)[what]
    await owner.execute(statement.format(whose=whose, database=name, other="tally_reset"))
    said = await found()
    assert said
    assert any(whose in it or "stranger" in it for it in said), said
    notices = []
    await migrate(connect("postgres"), notice=notices.append)
    assert notices == []
    assert await found() == []


async def test_others_may_be_given_what_reads(owner, connect, migrated, stranger, found):
    await owner.execute("GRANT USAGE ON SCHEMA tally TO stranger")
    await owner.execute("GRANT SELECT ON ALL TABLES IN SCHEMA tally TO stranger")
    assert await found() == []
    await migrate(connect("postgres"))
    query = "SELECT has_table_privilege('stranger', 'tally.entry', 'SELECT')"
    assert await owner.fetchval(query)


async def test_the_audit_says_so_and_fails(owner, migrated):
    await owner.execute("GRANT INSERT ON tally.entry TO PUBLIC")
    done = run("audit", TALLY_DATABASE_URL=owner.url)
    assert done.returncode == 1
    assert done.stdout == (
        "PUBLIC has INSERT ON TABLE tally.entry, which `tally migrate` takes away\n"
    )


# --- A ledger that was dumped without its privileges, and restored -------------------------------


@pytest.fixture(params=["embedded", "distribution"])
def server(request):
    """A server of its own, with a user of a cloud's kind: gives URLs, and its programs' folder."""
    if request.param == "distribution":
        with serving() as url:
            yield lambda role: url.replace("//me@", f"//{role or 'me'}@"), installed()[0]
        return
    folder = Path(tempfile.mkdtemp(prefix="tally-restored-"))
    folder.chmod(0o755)
    with postgres.start(folder / "data") as embedded:
        yield lambda role: embedded.url(role or "postgres"), find_binaries()
    shutil.rmtree(folder, ignore_errors=True)


def copy(programs, original, restored):
    """Dump a database without its privileges and restore it, with PostgreSQL's own programs."""
    dump = [programs / "pg_dump", "--no-acl", "--no-owner", "--dbname", original]
    made = subprocess.run(dump, check=True, capture_output=True).stdout
    load = [programs / "psql", "--quiet", "--set=ON_ERROR_STOP=1", "--dbname", restored]
    subprocess.run(load, check=True, input=made, capture_output=True)


@pytest.mark.parametrize("superuser", [True, False])
async def test_a_restored_ledger_has_its_privileges_again(server, superuser):
    url_of, programs = server
    user = None if superuser else "master"
    admin = await asyncpg.connect(with_database(url_of(None), "postgres"))
    await admin.execute("CREATE ROLE master LOGIN CREATEROLE CREATEDB")
    for database in ("original", "restored"):
        await admin.execute(f"CREATE DATABASE {database} {'' if superuser else 'OWNER master'}")
    await admin.close()
    original, restored = (with_database(url_of(user), name) for name in ("original", "restored"))
    assert run("migrate", TALLY_DATABASE_URL=original).returncode == 0
    assert run("add", "5", TALLY_DATABASE_URL=original).returncode == 0
    copy(programs, original, restored)

    found = run("audit", TALLY_DATABASE_URL=restored)
    assert found.returncode == 1
    assert "PUBLIC has EXECUTE ON ROUTINE tally.reset_total(uuid)" in found.stdout
    assert run("migrate", TALLY_DATABASE_URL=restored).returncode == 0
    audited = run("audit", TALLY_DATABASE_URL=restored)
    assert audited.stdout == "clean: 1 entries checked\n", audited.stdout

    display = Database(with_database(url_of("tally_display"), "restored"), timeout=PATIENCE)
    assert (await Reader(display).total()).count == 1
    await display.close()
    thief = await asyncpg.connect(with_database(url_of("tally_display"), "restored"))
    for call in ("reset_total(gen_random_uuid())", "register_writer(gen_random_uuid())"):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await thief.execute(f"SELECT tally.{call}")
    await thief.close()
