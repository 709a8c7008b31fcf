"""Each role suffices for its service, the operator's for looking; PostgreSQL refuses the rest."""

import contextlib
import re

import asyncpg
import pytest
from sqlalchemy import text

from tally.ledger.corrections import Corrections
from tally.ledger.export import export
from tally.ledger.reader import TOP, Range, Reader
from tally.ledger.replay import replay_answer
from tally.ledger.resets import Resets
from tally.ledger.roles import ROLES
from tally.ledger.schema import metadata
from tally.ledger.writer import Key, Writer

ONE = 10**9

MAY_READ = {
    "tally_adder": {"total", "alembic_version"},
    "tally_display": {"total", "entry", "correction", "move", "stretch", "alembic_version"},
    "tally_reset": {"total", "reset", "alembic_version"},
    "tally_operator": {*(table.name for table in metadata.tables.values()), "alembic_version"},
}
MAY_CALL = {
    "tally_adder": {
        *("register_writer", "add_batch", "settle_batch", "recall", "undo_entry", "free_total"),
        "behind_seconds",
    },
    "tally_display": {"behind_seconds"},
    "tally_reset": {"reset_total", "undo_reset", "confirm", "free_total", "behind_seconds"},
    "tally_operator": {"behind_seconds"},
}
# What triggers and the owner call.
INTERNAL = {"roll_up", "complete_stretches", "note_move"}
TABLES = {*(table.name for table in metadata.tables.values()), "alembic_version"}

# One way to use each right on a table that changes nothing where it is allowed.
USES = {
    "SELECT": "SELECT * FROM tally.{table} LIMIT 0",
    "INSERT": "INSERT INTO tally.{table} SELECT * FROM tally.{table} LIMIT 0",
    "UPDATE": "UPDATE tally.{table} SET {column} = {column} WHERE false",
    "DELETE": "DELETE FROM tally.{table} WHERE false",
    "TRUNCATE": "TRUNCATE tally.{table}",
    "TRIGGER": "CREATE TRIGGER spy AFTER INSERT ON tally.{table}"
    " EXECUTE FUNCTION pg_catalog.suppress_redundant_updates_trigger()",
    "LOCK": "LOCK TABLE tally.{table} IN ACCESS EXCLUSIVE MODE",
    "ALTER": "ALTER TABLE tally.{table} ADD COLUMN more int",
    "DROP": "DROP TABLE tally.{table} CASCADE",
    "COPY": "COPY tally.{table} TO STDOUT",
}
READS = {"SELECT", "COPY"}


@pytest.fixture
async def as_role(ledger):
    """Runs one statement under a role, and undoes it."""
    connections = {}

    async def run(role, statement):
        if role not in connections:
            connections[role] = await asyncpg.connect(ledger.url(role))
        transaction = connections[role].transaction()
        await transaction.start()
        try:
            if statement.startswith("COPY"):
                table = re.search(r"tally\.(\w+)", statement).group(1)

                async def drop(data):
                    pass

                await connections[role].copy_from_table(table, schema_name="tally", output=drop)
            else:
                await connections[role].execute(statement)
        finally:
            await transaction.rollback()

    yield run
    for connection in connections.values():
        await connection.close()


async def column_of(owner, table):
    return await owner.fetchval(
        "SELECT quote_ident(attname) FROM pg_attribute"
        f" WHERE attrelid = 'tally.{table}'::regclass AND attnum = 1"
    )


async def test_the_tables_named_here_are_all_there_are(owner):
    rows = await owner.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'tally'")
    assert {row["tablename"] for row in rows} == TABLES
    assert set(MAY_READ) == set(MAY_CALL) == set(ROLES)


@pytest.mark.parametrize("table", sorted(TABLES))
@pytest.mark.parametrize("role", ROLES)
async def test_a_role_reads_what_it_needs_and_changes_no_table(owner, as_role, role, table):
    column = await column_of(owner, table)
    for use, template in USES.items():
        statement = template.format(table=table, column=column)
        if use in READS and table in MAY_READ[role]:
            await as_role(role, statement)
            continue
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await as_role(role, statement)


@pytest.mark.parametrize("table", sorted(TABLES))
async def test_what_is_tried_above_is_possible_for_the_owner(owner, as_role, table):
    """Otherwise a statement could be refused for another reason than the role."""
    column = await column_of(owner, table)
    for statement in USES.values():
        await as_role("postgres", statement.format(table=table, column=column))


def may(role):
    """All that a role may do, as (what, to which, right)."""
    return {
        ("database", "this", "CONNECT"),
        ("schema", "tally", "USAGE"),
        ("schema", "public", "USAGE"),
        *(("language", language, "USAGE") for language in ("plpgsql", "sql")),
        *(("table", f"tally.{table}", "SELECT") for table in MAY_READ[role]),
        *(("function", f"tally.{function}", "EXECUTE") for function in MAY_CALL[role]),
        ("role", role, "USAGE"),
    }


# Each kind of object, with every right there is on it; $1 is the role.
ENUMERATION = """
    SELECT 'database' AS kind, CASE datname WHEN current_database() THEN 'this' ELSE datname END
               AS name, right_
      FROM pg_database, unnest('{CONNECT,CREATE,TEMPORARY}'::text[]) AS right_
     WHERE datname IN (current_database(), 'postgres', 'template0', 'template1')
       AND has_database_privilege($1, oid, right_)
       AND NOT (datname = 'template0' AND right_ = 'CONNECT')  -- which lets nobody connect
    UNION SELECT 'schema', nspname, right_
      FROM pg_namespace, unnest('{CREATE,USAGE}'::text[]) AS right_
     WHERE nspname NOT IN ('pg_catalog', 'information_schema')
       AND has_schema_privilege($1, oid, right_)
    UNION SELECT 'schema', nspname, 'CREATE'
      FROM pg_namespace WHERE has_schema_privilege($1, oid, 'CREATE')
    UNION SELECT 'language', lanname, 'USAGE'
      FROM pg_language WHERE lanpltrusted AND has_language_privilege($1, oid, 'USAGE')
    UNION SELECT CASE relkind WHEN 'S' THEN 'sequence' ELSE 'table' END,
                 relnamespace::regnamespace || '.' || relname, right_
      FROM pg_class,
           unnest('{SELECT,INSERT,UPDATE,DELETE,TRUNCATE,REFERENCES,TRIGGER}'::text[]) AS right_
     WHERE relkind IN ('r', 'v', 'm', 'p', 'f') AND has_table_privilege($1, oid, right_)
       AND NOT (relnamespace IN ('pg_catalog'::regnamespace, 'information_schema'::regnamespace)
                AND right_ = 'SELECT')
       AND NOT (oid = 'pg_settings'::regclass AND right_ = 'UPDATE')  -- the same as SET
    UNION SELECT 'column', attrelid::regclass || '.' || attname, right_
      FROM pg_attribute, unnest('{INSERT,UPDATE,REFERENCES}'::text[]) AS right_
     WHERE attnum > 0 AND NOT attisdropped AND has_column_privilege($1, attrelid, attnum, right_)
       AND NOT (attrelid = 'pg_settings'::regclass AND right_ = 'UPDATE')
    UNION SELECT 'sequence', oid::regclass::text, 'USAGE'
      FROM pg_class WHERE CASE WHEN relkind = 'S'
                               THEN has_sequence_privilege($1, oid, 'USAGE,SELECT,UPDATE') END
    UNION SELECT 'function', pronamespace::regnamespace || '.' || proname, 'EXECUTE'
      FROM pg_proc
     WHERE has_function_privilege($1, oid, 'EXECUTE')
       AND (pronamespace NOT IN ('pg_catalog'::regnamespace, 'information_schema'::regnamespace)
            OR proname ~ 'advisory|^lo_|^lo(read|write)$|logical_emit')
    UNION SELECT 'large object', oid::text, 'any' FROM pg_largeobject_metadata
    UNION SELECT 'tablespace', spcname, 'CREATE'
      FROM pg_tablespace WHERE has_tablespace_privilege($1, oid, 'CREATE')
    UNION SELECT 'foreign data wrapper', fdwname, 'USAGE'
      FROM pg_foreign_data_wrapper WHERE has_foreign_data_wrapper_privilege($1, oid, 'USAGE')
    UNION SELECT 'server', srvname, 'USAGE'
      FROM pg_foreign_server WHERE has_server_privilege($1, oid, 'USAGE')
    UNION SELECT 'setting', name, right_
      FROM pg_settings, unnest('{SET,"ALTER SYSTEM"}'::text[]) AS right_
     WHERE context <> 'user' AND has_parameter_privilege($1, name, right_)
        OR right_ = 'ALTER SYSTEM' AND has_parameter_privilege($1, name, right_)
    UNION SELECT 'role', rolname, 'USAGE'
      FROM pg_roles WHERE pg_has_role($1, oid, 'MEMBER')
    UNION SELECT 'attribute', attribute, 'has' FROM pg_roles,
           unnest(ARRAY['superuser', 'createrole', 'createdb', 'replication', 'bypassrls'],
                  ARRAY[rolsuper, rolcreaterole, rolcreatedb, rolreplication, rolbypassrls])
           AS a (attribute, has) WHERE rolname = $1 AND has
"""


@pytest.mark.parametrize("role", ROLES)
async def test_a_role_may_do_what_is_listed_and_nothing_else(owner, migrated, role):
    rows = await owner.fetch(ENUMERATION, role)
    assert {tuple(row) for row in rows} == may(role)


async def test_the_enumeration_sees_what_there_is_to_take(owner, migrated):
    """The superuser may do all: so each kind of right above can be found."""
    await owner.execute("SELECT lo_create(0)")
    kinds = {row["kind"] for row in await owner.fetch(ENUMERATION, "postgres")}
    assert kinds >= {
        *("database", "schema", "language", "table", "column", "function", "large object"),
        *("tablespace", "setting", "role", "attribute"),
    }


@pytest.mark.parametrize("role", ROLES)
async def test_a_role_calls_its_functions_and_no_others(owner, as_role, role):
    functions = await owner.fetch(
        """
        SELECT proname AS name, prosecdef AS definer, proconfig AS settings,
               (SELECT coalesce(string_agg('NULL', ','), '')
                  FROM generate_series(1, pronargs)) AS arguments
          FROM pg_proc WHERE pronamespace = 'tally'::regnamespace
        """
    )
    assert {function["name"] for function in functions} == INTERNAL.union(*MAY_CALL.values())
    for function in functions:
        # Whoever calls must not choose what names inside mean, at the owner's rights.
        assert function["definer"]
        search_path, *how = function["settings"]
        assert search_path == "search_path=pg_catalog, pg_temp"
        assert all(setting.startswith("enable_") for setting in how), "only how rows are found"
        call = f"SELECT tally.{function['name']}({function['arguments']})"
        if function["name"] not in MAY_CALL[role]:
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await as_role(role, call)
            continue
        try:
            await as_role(role, call)
        except asyncpg.PostgresError as error:
            assert not isinstance(error, asyncpg.InsufficientPrivilegeError)  # noqa: PT017


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TABLE tally.mine (id int)",
        "CREATE FUNCTION tally.mine() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "CREATE TABLE public.mine (id int)",
        "CREATE SCHEMA mine",
        "DROP SCHEMA tally CASCADE",
        "CREATE ROLE friend SUPERUSER",
        "SET ROLE postgres",
        "SET SESSION AUTHORIZATION postgres",
        "SELECT pg_read_file('postgresql.conf')",
    ],
)
async def test_a_role_makes_nothing_and_becomes_nobody_else(as_role, role, statement):
    with pytest.raises(asyncpg.PostgresError, match=r"permission denied|must be owner"):
        await as_role(role, statement)


@pytest.mark.parametrize("role", ROLES)
async def test_a_role_passes_no_right_on(ledger, owner, role):
    connection = await asyncpg.connect(ledger.url(role))
    # Whoever has the right itself, without the right to grant it, gets a warning and no error.
    with contextlib.suppress(asyncpg.InsufficientPrivilegeError):
        await connection.execute("GRANT SELECT ON tally.answer TO public")
    await connection.close()
    granted = "SELECT count(*) FROM pg_class, aclexplode(relacl) WHERE grantee = 0"
    assert await owner.fetchval(f"{granted} AND oid = 'tally.answer'::regclass") == 0


async def test_the_operator_sees_every_row(connect, writer, resets):
    await writer.add([ONE] * 256, Key.of("key", [ONE] * 256, batch=True))
    await Corrections(connect("tally_adder")).undo(1)
    for _ in range(2):
        await resets.reset()
    async with connect("tally_operator").engine.connect() as connection:
        for table in sorted(TABLES):
            query = text(f"SELECT count(*) FROM tally.{table}")
            assert await connection.scalar(query) > 0, table


async def test_the_adder_s_role_suffices_for_the_adder(connect):
    database = connect("tally_adder")
    await database.check()
    writer = Writer(database, queue_limit=10)
    writer.start()
    key = Key.of("key", [ONE], batch=False)
    added = await writer.add([ONE], key)
    assert (await writer.add([ONE], key)).replayed
    assert (await replay_answer(database, "key"))[1] == ONE
    # A connection ended from outside makes it settle its last batch.
    writer._connection.terminate()
    assert (await writer.add([ONE])).sum == added.sum + ONE
    assert (await Corrections(database).undo(added.last_id)).sum == ONE
    assert (await Reader(database).total()).count == 3
    await writer.close(grace=1)


async def test_the_display_s_role_suffices_for_the_display(connect, writer):
    await writer.add([ONE])
    database = connect("tally_display")
    await database.check()
    reader = Reader(database)
    assert (await reader.total()).sum == ONE
    assert len((await reader.overview(Range(), TOP, 20)).history.points) == 1
    assert len((await reader.page(None, 10)).entries) == 1
    written = []

    async def write(chunk):
        written.append(chunk)

    await export(database, "csv", write)
    assert len(written) == 2


async def test_the_reset_s_role_suffices_for_reset(connect, writer):
    await writer.add([ONE])
    database = connect("tally_reset")
    await database.check()
    resets = Resets(database)
    reset, _ = await resets.reset("key")
    assert [past.id for past in await resets.past()] == [reset.id]
    assert (await resets.undo(reset.id)).sum == ONE
    assert (await resets.get(reset.id)).undone_at is not None
    assert (await Reader(database).total()).sum == ONE
