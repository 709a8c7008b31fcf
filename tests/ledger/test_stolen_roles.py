"""Whoever stole a service's role may send PostgreSQL anything; the other services go on.

What a role may do stands in test_roles.py; here is what it tries beyond that.
"""

import asyncio
import shutil
import tempfile
from pathlib import Path

import asyncpg
import pytest
from sqlalchemy import text

from tally.embedded import postgres
from tally.ledger import migrate as migrating
from tally.ledger.database import Database
from tally.ledger.migrate import migrate
from tally.ledger.reader import Reader
from tally.ledger.resets import Resets
from tally.ledger.roles import ROLES
from tally.ledger.writer import Key, Writer
from tests.support.postgres import PATIENCE, execute, with_database

ONE = 10**9
SERVICES = ("tally_adder", "tally_display", "tally_reset")


@pytest.fixture
async def thief(ledger, migrated):
    """Opens sessions of a role's, past all of Tally's code."""
    sessions = []

    async def open_session(role, **options):
        sessions.append(await asyncpg.connect(ledger.url(role), **options))
        return sessions[-1]

    yield open_session
    for session in sessions:
        session.terminate()


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize(
    "statement",
    [
        "SELECT pg_advisory_lock(500069067897)",
        "SELECT pg_try_advisory_lock_shared(1, 2)",
        "SELECT pg_advisory_xact_lock(g) FROM generate_series(1, 1000000) AS g",
        "CREATE TEMPORARY TABLE mine (id int)",
        "CREATE TABLE public.mine (id int)",
        "SELECT lo_create(0)",
        "SELECT lo_from_bytea(0, 'x')",
        "SELECT pg_logical_emit_message(false, 'tally', repeat('x', 1000000))",
        "BEGIN; LOCK TABLE tally.alembic_version IN SHARE MODE",
        "BEGIN; LOCK TABLE tally.total IN ROW EXCLUSIVE MODE",
        "SELECT * FROM tally.total FOR UPDATE",
        "SELECT * FROM tally.total FOR KEY SHARE",
        "SET temp_file_limit = -1",
        "ALTER ROLE CURRENT_USER SET temp_file_limit = -1",
        "ALTER ROLE CURRENT_USER CONNECTION LIMIT -1",
        "ALTER SYSTEM SET fsync = off",
        "ALTER DATABASE postgres SET default_transaction_read_only = on",
        "BEGIN; PREPARE TRANSACTION 'kept'",
    ],
)
async def test_what_reaches_beyond_the_session_is_refused(thief, role, statement):
    session = await thief(role)
    with pytest.raises(
        asyncpg.PostgresError,
        match=r"permission denied|must be owner|prepared transactions are disabled",
    ):
        await session.execute(statement)


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("database", ["postgres", "template1"])
async def test_a_role_enters_no_other_database(thief, role, database):
    with pytest.raises(asyncpg.InsufficientPrivilegeError, match="permission denied for database"):
        await thief(role, database=database)


# --- What no adder and no reset sends -------------------------------------------------------------

KEYS = "{11111111111111111111111111111111,22222222222222222222222222222222}"
CALL = "SELECT * FROM tally.add_batch($1, $2, $3, $4, $5, $6, $7)"
NEVER_SENT = {
    "no values": ["{}", None, None, None, None],
    "null for values": [None, None, None, None, None],
    "a null among the values": ["{1,NULL}", None, None, None, None],
    "too many values": ["{" + ",".join(["1"] * 10_001) + "}", None, None, None, None],
    "NaN": ["{NaN}", None, None, None, None],
    "an infinity": ["{1,-Infinity}", None, None, None, None],
    "too large": ["{1e18}", None, None, None, None],
    "too precise": ["{0.0000000001}", None, None, None, None],
    "no number": ["{one}", None, None, None, None],
    "a first far away": ["{1,2}", KEYS, KEYS, "{-1000000,2}", "{1,2}"],
    "a first of 0": ["{1,2}", KEYS, KEYS, "{0,2}", "{1,2}"],
    "a first that is the last before": ["{1,2,3}", KEYS, KEYS, "{1,2}", "{2,3}"],
    "a first above the last": ["{1,2,3}", KEYS, KEYS, "{2,3}", "{1,3}"],
    "a last beyond the batch": ["{1,2}", KEYS, KEYS, "{1,2}", "{1,3}"],
    "ranges that overlap": ["{1,2}", KEYS, KEYS, "{1,1}", "{1,2}"],
    "ranges in another order": ["{1,2}", KEYS, KEYS, "{2,1}", "{2,1}"],
    "more keys": ["{1}", KEYS, KEYS[:33] + "}", "{1}", "{1}"],
    "more bodies": ["{1}", KEYS[:33] + "}", KEYS, "{1}", "{1}"],
    "more firsts": ["{1,2}", KEYS[:33] + "}", KEYS[:33] + "}", "{1,2}", "{1}"],
    "fewer bodies": ["{1,2}", KEYS, KEYS[:33] + "}", "{1,2}", "{1,2}"],
    "fewer keys": ["{1,2}", KEYS[:33] + "}", KEYS, "{1,2}", "{1,2}"],
    "fewer firsts": ["{1,2}", KEYS, KEYS, "{1}", "{1,2}"],
    "more lasts": ["{1,2,3}", KEYS, KEYS, "{1,2}", "{1,2,3}"],
    "no lasts": ["{1,2}", KEYS, KEYS, "{1,2}", None],
    "no keys": ["{1,2}", None, KEYS, "{1,2}", "{1,2}"],
    "ranges alone": ["{1,2}", None, None, "{1}", "{1}"],
    "a null key": ["{1,2}", "{NULL," + KEYS[34:], KEYS, "{1,2}", "{1,2}"],
    "a null body": ["{1,2}", KEYS, "{NULL," + KEYS[34:], "{1,2}", "{1,2}"],
    "a null first": ["{1,2}", KEYS, KEYS, "{1,NULL}", "{1,2}"],
    "a null last": ["{1,2}", KEYS, KEYS, "{1,2}", "{NULL,2}"],
    "lasts numbered otherwise": ["{1,2}", KEYS, KEYS, "{1,2}", "[5:6]={1,2}"],
    "one key twice": ["{1,2}", "{" + ",".join([KEYS[1:33]] * 2) + "}", KEYS, "{1,2}", "{1,2}"],
}


# Where what is stored refuses it.
OTHER_REFUSALS = {
    "a null among the values": asyncpg.NotNullViolationError,
    **dict.fromkeys(("NaN", "too large", "too precise"), asyncpg.CheckViolationError),
    "an infinity": asyncpg.CheckViolationError,
    "no number": asyncpg.InvalidTextRepresentationError,
    "one key twice": asyncpg.UniqueViolationError,
}


@pytest.mark.parametrize("what", NEVER_SENT)
async def test_what_no_adder_sends_is_refused_and_nothing_is_stored(thief, owner, drift, what):
    session = await thief("tally_adder")
    writer = "00000000-0000-4000-8000-000000000000"
    await session.execute(f"SELECT tally.register_writer('{writer}')")
    with pytest.raises(OTHER_REFUSALS.get(what, asyncpg.InvalidParameterValueError)):
        await session.fetch(CALL, writer, 1, *NEVER_SENT[what])
    counts = "SELECT (SELECT count(*) FROM tally.entry) + (SELECT count(*) FROM tally.answer)"
    assert await owner.fetchval(counts) == 0
    # Nor was the batch's number used up.
    assert await session.fetchrow(CALL, writer, 1, "{1,2}", KEYS, KEYS, "{1,2}", "{1,2}")
    assert await drift() is None


@pytest.mark.parametrize(
    ("role", "call"),
    [
        ("tally_adder", "register_writer(NULL)"),
        ("tally_adder", "undo_entry(NULL)"),
        ("tally_reset", "reset_total(NULL)"),
        ("tally_reset", "undo_reset(NULL)"),
    ],
)
async def test_nobody_calls_with_nothing(thief, role, call):
    session = await thief(role)
    with pytest.raises(asyncpg.InvalidParameterValueError):
        await session.execute(f"SELECT tally.{call}")


# --- The others go on -----------------------------------------------------------------------------


async def hold_total(session, role):
    """Lock the row that every change waits for, and do nothing, with every timeout lifted."""
    for timeout in (
        *("idle_in_transaction_session_timeout", "statement_timeout", "lock_timeout"),
        "transaction_timeout",
    ):
        await session.execute(f"SET {timeout} = 0")
    await session.execute("BEGIN")
    if role == "tally_adder":
        writer = "00000000-0000-4000-8000-000000000000"
        await session.execute(f"SELECT tally.register_writer('{writer}')")
        await session.fetch(CALL, writer, 1, "{1}", None, None, None, None)
    else:
        await session.execute("SELECT tally.reset_total(gen_random_uuid())")


@pytest.mark.parametrize("role", ["tally_adder", "tally_reset"])
async def test_a_session_that_keeps_the_total_is_ended_by_who_waits_to_add(
    thief, start_writer, role, drift
):
    writer = start_writer(timeout=30)
    await writer.add([ONE])
    session = await thief(role)
    await hold_total(session, role)
    added = await writer.add([ONE], Key.of("key", [ONE], batch=False))
    assert (added.count, added.sum) == (2, 2 * ONE)
    with pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError, OSError)):
        await session.execute("COMMIT")
    assert await drift() is None


@pytest.mark.parametrize("role", ["tally_adder", "tally_reset"])
async def test_a_session_that_keeps_the_total_is_ended_by_who_waits_to_reset(
    thief, connect, writer, role
):
    await writer.add([ONE])
    resets = Resets(connect("tally_reset", timeout=30))
    for change in (resets.reset(), resets.undo(1)):
        session = await thief(role)
        await hold_total(session, role)
        done = await change
        assert (done if isinstance(done, tuple) else (done,))[0].sum == ONE


async def test_a_session_that_runs_on_with_the_total_is_ended_too(thief, writer):
    """One statement may go on after it has the lock."""
    await writer.add([ONE])
    session = await thief("tally_reset")
    running = asyncio.create_task(
        session.execute("SELECT tally.reset_total(gen_random_uuid()), pg_sleep(3600)")
    )
    await asyncio.sleep(0)
    for number in range(3):
        assert (await writer.add([ONE])).sum == (number + 2) * ONE
    while not running.done():
        await writer.add([ONE])
    with pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError, OSError)):
        await running


async def test_the_owner_is_never_ended(thief, owner):
    session = await thief("tally_adder")
    async with owner.connection.transaction():
        await owner.execute("SELECT FROM tally.total FOR UPDATE")
        await owner.execute("SELECT pg_sleep(2.1)")  # longer than a service may
        assert await session.fetchval("SELECT tally.free_total()") == 0
        assert await owner.fetchval("SELECT 1") == 1


async def test_a_session_that_reads_can_t_hold_up_a_migration(thief, owner, connect, monkeypatch):
    """What a migration changes it locks against readers, and all who come later wait behind it."""

    def change(connection):
        connection.execute(text("ALTER TABLE tally.total ADD COLUMN more int"))

    monkeypatch.setattr(migrating, "upgrade", change)
    session = await thief("tally_display")
    await session.execute("SET idle_in_transaction_session_timeout = 0; BEGIN")
    await session.execute("SELECT FROM tally.total; SELECT FROM tally.alembic_version")
    await owner.execute("UPDATE tally.alembic_version SET version_num = '0001'")
    assert await asyncio.wait_for(migrate(connect("postgres")), 60) is True


@pytest.mark.parametrize("role", SERVICES)
async def test_one_role_leaves_connections_to_the_others(thief, connect, owner, role):
    limit = await owner.fetchval("SELECT rolconnlimit FROM pg_roles WHERE rolname = $1", role)
    most = int(await owner.fetchval("SHOW max_connections"))
    assert 0 < limit <= most // 2
    for _ in range(limit):
        await thief(role)
    with pytest.raises(asyncpg.TooManyConnectionsError, match="too many connections for role"):
        await thief(role)
    for other in {*SERVICES} - {role}:
        await connect(other).check()


# --- Settings that a role leaves behind -----------------------------------------------------------


CHOSEN = """
    SELECT name, setting FROM pg_settings
     WHERE context = 'user' AND name <> 'application_name' ORDER BY name
"""  # but for the name, which is another for each session


async def test_every_setting_that_a_role_leaves_behind_is_harmless(
    thief, ledger, owner, connect, start_writer
):
    """A role may set what it likes for its own later sessions; a service's begin as they must."""
    rows = await owner.fetch(
        "SELECT name, vartype, boot_val, min_val, max_val, enumvals FROM pg_settings"
        " WHERE context = 'user' AND name !~ '^transaction_' ORDER BY name"
    )
    session = await thief("tally_adder")
    begun = await connect("tally_adder").connect()
    clean = await begun.fetch(CHOSEN)
    await begun.close()
    tried = 0
    for row in rows:
        for value in worst(row):
            try:
                await session.execute(f"ALTER ROLE CURRENT_USER SET {row['name']} = '{value}'")
            except asyncpg.PostgresError:
                continue
            tried += 1
            database = Database(ledger.url("tally_adder"), timeout=PATIENCE)
            writer = start_writer(database=database)
            try:
                await database.check()
                added = await writer.add([ONE])
                assert (await Reader(database).total()).sum == added.sum
                begun = await database.connect()
                assert await begun.fetch(CHOSEN) == clean
                await begun.close()
            except Exception as error:
                raise AssertionError(f"{row['name']} = {value}") from error
            finally:
                await writer.close(grace=1)
                await database.close()
        await session.execute(f"ALTER ROLE CURRENT_USER RESET {row['name']}")
    assert tried > 200


def worst(setting):
    """The values of a setting that are furthest from its default."""
    match setting["vartype"]:
        case "bool":
            return ["off" if setting["boot_val"] == "on" else "on"]
        case "enum":
            return [value for value in setting["enumvals"] if value != setting["boot_val"]]
        case "integer" | "real":
            least = setting["min_val"]
            return [least, "1", setting["max_val"]] if least in ("0", "-1") else [least]
    return ["nonsense", "nowhere, none", "C"]


@pytest.mark.parametrize("where", ["", "IN DATABASE {database}"])
async def test_a_migration_undoes_what_a_role_set_for_itself(thief, owner, connect, where):
    database = await owner.fetchval("SELECT quote_ident(current_database())")
    before = await owner.fetch("SELECT * FROM pg_db_role_setting ORDER BY 1, 2")
    for role in SERVICES:
        session = await thief(role)
        for setting in ("default_transaction_read_only = on", "statement_timeout = 1"):
            await session.execute(
                f"ALTER ROLE CURRENT_USER {where.format(database=database)} SET {setting}"
            )
    assert await migrate(connect("postgres")) is False
    assert await owner.fetch("SELECT * FROM pg_db_role_setting ORDER BY 1, 2") == before
    session = await thief("tally_adder")
    assert await session.fetchval("SHOW default_transaction_read_only") == "off"
    assert await session.fetchval("SHOW idle_in_transaction_session_timeout") == "1min"
    assert await session.fetchval("SHOW temp_file_limit") == "256MB"


@pytest.mark.parametrize("role", SERVICES)
async def test_a_role_that_changes_itself_and_waits_holds_up_no_migration(thief, connect, role):
    session = await thief(role)
    await session.execute("SET idle_in_transaction_session_timeout = 0; BEGIN")
    await session.execute("ALTER ROLE CURRENT_USER SET default_transaction_read_only = on")
    await session.execute("ALTER ROLE CURRENT_USER PASSWORD 'mine'")
    migrating = migrate(connect("postgres"), {role: "new"})
    assert await asyncio.wait_for(migrating, 60) is False


async def test_two_migrations_of_one_server_at_once_change_each_role_once(connect, owner, thief):
    """Roles belong to the server: two that change one at the same time would fail."""
    session = await thief("tally_adder")
    await session.execute("ALTER ROLE CURRENT_USER SET work_mem = 64")
    assert await asyncio.gather(*(migrate(connect("postgres")) for _ in range(4))) == [False] * 4


# --- An owner who is no superuser, as on a managed PostgreSQL ------------------------------------


@pytest.fixture
def managed():
    """A server whose databases and roles are made by a user of a cloud's kind; gives its URLs."""
    folder = Path(tempfile.mkdtemp(prefix="tally-managed-"))
    folder.chmod(0o755)
    with postgres.start(folder / "data") as server:
        execute(
            server.admin_url,
            "CREATE ROLE master LOGIN CREATEROLE CREATEDB",
            "CREATE DATABASE managed OWNER master",
        )
        yield lambda role: with_database(server.url(role), "managed")
    shutil.rmtree(folder, ignore_errors=True)


async def test_what_an_owner_may_not_revoke_is_said_and_the_rest_is_done(managed):
    database = Database(managed("master"), timeout=30)
    said = []
    assert await migrate(database, notice=said.append) is True
    assert [line.partition(": ")[2] for line in said] == [
        "REVOKE CONNECT ON DATABASE postgres, template1",
        "REVOKE EXECUTE ON FUNCTION, for advisory locks and large objects",
    ]
    # Once more, and nothing is left to do but that.
    again = []
    assert await migrate(database, notice=again.append) is False
    assert again == said
    await database.close()
    session = await asyncpg.connect(managed("tally_adder"))
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await session.execute("CREATE TEMPORARY TABLE mine (id int)")
    await session.close()


async def test_the_total_is_freed_under_such_an_owner_too(managed):
    owner = Database(managed("master"), timeout=30)
    await migrate(owner)
    session = await asyncpg.connect(managed("tally_adder"))
    await hold_total(session, "tally_adder")
    database = Database(managed("tally_adder"), timeout=30)
    writer = Writer(database, queue_limit=10)
    writer.start()
    assert (await writer.add([ONE])).sum == ONE
    session.terminate()
    session = await asyncpg.connect(managed("tally_display"))
    await session.execute("SET idle_in_transaction_session_timeout = 0; BEGIN")
    await session.execute("ALTER ROLE CURRENT_USER SET default_transaction_read_only = on")
    assert await asyncio.wait_for(migrate(owner), 60) is False
    session.terminate()
    await writer.close(grace=1)
    for each in (owner, database):
        await each.close()
