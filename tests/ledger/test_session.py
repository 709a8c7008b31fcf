"""A session of Tally's is the same whatever a database, a role or a server has for defaults."""

import shutil
import tempfile
from datetime import timedelta
from pathlib import Path

import asyncpg
import pytest

from tally.embedded import postgres
from tally.ledger.audit import audit
from tally.ledger.database import Database
from tally.ledger.export import export
from tally.ledger.importer import Imported, batch_keys, counted_before, import_keyed
from tally.ledger.migrate import migrate
from tally.ledger.purge import purge
from tally.ledger.reader import Reader
from tally.ledger.resets import Resets
from tally.ledger.writer import Key, Writer
from tests.support.postgres import PATIENCE, with_database

ONE = 10**9
HOSTILE = {
    "serializable": {"default_transaction_isolation": "serializable"},
    "repeatable read": {"default_transaction_isolation": "repeatable read"},
    "read only": {
        "default_transaction_read_only": "on",
        "default_transaction_deferrable": "on",
        "default_transaction_isolation": "serializable",
    },
    "impatient": {
        "statement_timeout": "1ms",
        "lock_timeout": "1ms",
        "idle_session_timeout": "1ms",
        "idle_in_transaction_session_timeout": "1ms",
        # PostgreSQL counts it at each login, so that a shorter one lets nobody in.
        "transaction_timeout": "60s",
    },
    "names": {"search_path": "hostile, pg_catalog"},
    "texts": {
        "client_encoding": "LATIN1",
        "DateStyle": "German",
        "IntervalStyle": "sql_standard",
        "TimeZone": "Pacific/Kiritimati",
        "bytea_output": "escape",
        "extra_float_digits": "-15",
        "standard_conforming_strings": "off",
        "backslash_quote": "off",
        "array_nulls": "off",
        "transform_null_equals": "on",
        "xmloption": "document",
        "quote_all_identifiers": "on",
    },
    "careless": {
        "synchronous_commit": "off",
        "client_min_messages": "error",
        "exit_on_error": "on",
        "row_security": "off",
        "check_function_bodies": "off",
        "plpgsql.variable_conflict": "use_column",
        "stats_fetch_consistency": "snapshot",
        "restrict_nonsystem_relation_kind": "view,foreign-table",
    },
    "slow": {
        "enable_seqscan": "off",
        "enable_indexscan": "off",
        "enable_bitmapscan": "off",
        "debug_parallel_query": "regress",
        "plan_cache_mode": "force_custom_plan",
        "jit_above_cost": "0",
        "work_mem": "64kB",
    },
}
# Functions that a search path puts before PostgreSQL's own.
SHADOWS = """
    CREATE SCHEMA hostile;
    GRANT USAGE ON SCHEMA hostile TO PUBLIC;
    DO $$
    DECLARE
        signature text;
    BEGIN
        FOREACH signature IN ARRAY ARRAY[
            'clock_timestamp()', 'now()', 'pg_backend_pid()', 'to_regclass(text)',
            'trim_scale(numeric)', 'set_config(text, text, bool)', 'current_setting(text)',
            'pg_is_in_recovery()', 'to_char(timestamp, text)', 'pg_terminate_backend(int)'
        ] LOOP
            EXECUTE format('CREATE FUNCTION hostile.%s RETURNS text LANGUAGE plpgsql'
                           ' AS ''BEGIN RAISE ''''shadowed''''; END''', signature);
        END LOOP;
    END $$
"""
LEVELS = {
    "database": "ALTER DATABASE hostile SET {} = {}",
    "role": "ALTER ROLE {role} SET {} = {}",
    "role in the database": "ALTER ROLE {role} IN DATABASE hostile SET {} = {}",
    "server": "ALTER SYSTEM SET {} = {}",
}
# For whoever sets and resets them.
UNMOVED = dict.fromkeys(HOSTILE["impatient"], "0") | {"default_transaction_read_only": "off"}
ROLES = ("postgres", "tally_adder", "tally_display", "tally_reset")


@pytest.fixture(scope="module")
def server():
    folder = Path(tempfile.mkdtemp(prefix="tally-hostile-"))
    folder.chmod(0o755)
    with postgres.start(folder / "data") as server:
        yield server
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
async def hostile(server):
    """Sets defaults on a level; gives the roles' URLs. All are reset at the end."""
    admin = await asyncpg.connect(
        with_database(server.admin_url, "postgres"), server_settings=UNMOVED
    )
    await admin.execute("CREATE DATABASE hostile")
    inside = await asyncpg.connect(with_database(server.admin_url, "hostile"))
    await inside.execute(SHADOWS)
    await inside.close()

    async def set_defaults(level, settings):
        for role in ROLES if "role" in level else ("postgres",):
            for name, value in settings.items():
                quoted = value if name == "search_path" else f"'{value}'"
                await admin.execute(LEVELS[level].format(name, quoted, role=role))
        await admin.execute("SELECT pg_reload_conf()")

    def url(role):
        return with_database(server.url(role), "hostile")

    created = Database(url("postgres"), timeout=PATIENCE)
    await migrate(created)
    await created.close()
    yield set_defaults, url
    await admin.execute("ALTER SYSTEM RESET ALL")
    await admin.execute("SELECT pg_reload_conf()")
    for role in ROLES:
        await admin.execute(f"ALTER ROLE {role} RESET ALL")
    await admin.execute("DROP DATABASE hostile WITH (FORCE)")
    await admin.close()


async def use_all_of_it(url):
    """Whatever services and commands do, each once."""
    databases = {role: Database(url(role), timeout=PATIENCE) for role in ROLES}
    owner = databases["postgres"]
    assert await migrate(owner, {"tally_adder": "secret"}) in (True, False)
    await owner.check()
    writer = Writer(databases["tally_adder"], queue_limit=100)
    writer.start()
    key = Key.of("key", [ONE, ONE], batch=True)
    first = await writer.add([ONE])
    keyed = await writer.add([ONE, ONE], key)
    assert not keyed.replayed
    replayed = await writer.add([ONE, ONE], key)
    assert (replayed.replayed, replayed.sum) == (True, keyed.sum)
    batches = [[ONE], [ONE]]
    keyed_batches = ([one] for one in batch_keys(batches, "digest", ""))
    await import_keyed(writer, keyed_batches, Imported(), lambda counted: None)
    counted = await counted_before(databases["tally_adder"], batch_keys(batches, "digest", ""))
    assert counted.count == 2
    await writer.close(grace=1)
    reader = Reader(databases["tally_display"])
    assert (await reader.total()).count == first.count + 4
    assert len((await reader.overview()).rows.rows) == (await reader.total()).count
    assert len((await reader.page(None, 10)).entries) == (await reader.total()).count
    for form in ("csv", "ndjson"):
        written = bytearray()

        async def write(data, written=written):
            written.extend(data)

        await export(databases["tally_display"], form, write)
        assert written.count(b"\n") == (await reader.total()).count + (form == "csv")
        assert b"T" in written
        assert b"Z" in written
    resets = Resets(databases["tally_reset"])
    made, _ = await resets.reset("key")
    assert (await resets.reset("key"))[1]
    assert (await resets.undo(made.id)).undone_at is not None
    await resets.reset()
    await purge(owner, timedelta(0))
    assert (await audit(owner)).difference is None
    connection = await databases["tally_adder"].connect()
    settings = [
        "synchronous_commit",
        "client_min_messages",
        "transaction_isolation",
        "exit_on_error",
    ]
    shown = [await connection.fetchval(f"SHOW {name}") for name in settings]
    assert shown == ["on", "notice", "read committed", "off"]
    await connection.close()
    for database in databases.values():
        await database.close()


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("what", HOSTILE)
async def test_a_default_changes_nothing(hostile, what, level) -> None:
    set_defaults, url = hostile
    await set_defaults(level, HOSTILE[what])
    await use_all_of_it(url)


async def test_what_waits_for_a_standby_stays_as_it_is_set(hostile) -> None:
    set_defaults, url = hostile
    await set_defaults("database", {"synchronous_commit": "remote_apply"})
    database = Database(url("tally_adder"), timeout=PATIENCE)
    connection = await database.connect()
    assert await connection.fetchval("SHOW synchronous_commit") == "remote_apply"
    await connection.close()
    await database.close()


async def test_the_url_s_own_options_reach_the_server(hostile) -> None:
    _, url = hostile
    options = "options=-c%20geqo_threshold%3D7%20-c%20statement_timeout%3D5"
    database = Database(f"{url('tally_adder')}&{options}", timeout=PATIENCE)
    connection = await database.connect()
    assert await connection.fetchval("SHOW geqo_threshold") == "7"
    assert await connection.fetchval("SHOW statement_timeout") == "0", "Tally's own stays"
    await connection.close()
    await database.close()
