"""Migrations: what they make is what the code declares, however often and at once they run."""

import asyncio
from pathlib import Path
from random import Random

import asyncpg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import text

from tally.ledger import migrations
from tally.ledger.audit import audit
from tally.ledger.database import SchemaOutdated, current_revision
from tally.ledger.failures import Unavailable
from tally.ledger.migrate import SchemaNewer, migrate, upgrade
from tally.ledger.resets import Resets
from tally.ledger.schema import REVISION, metadata

CHECKS = """
    SELECT conrelid::regclass::text AS place, conname::text AS name,
           regexp_replace(pg_get_constraintdef(oid), '\\s+', ' ', 'g') AS definition
      FROM pg_constraint WHERE connamespace = 'tally'::regnamespace AND contype <> 'n'
       AND conrelid <> 'tally.alembic_version'::regclass
     ORDER BY 1, 2
"""
OPTIONS = """
    SELECT relname, reloptions::text FROM pg_class
     WHERE relnamespace = 'tally'::regnamespace AND reloptions IS NOT NULL
"""


@pytest.fixture
async def empty(owner, connect):
    """A database without a ledger."""
    await owner.execute("DROP SCHEMA tally CASCADE")
    return connect("postgres")


def test_the_revision_named_in_the_code_is_the_newest_migration():
    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent))
    assert ScriptDirectory.from_config(config).get_heads() == [REVISION]


async def test_a_migrated_database_is_what_the_schema_declares(connect):
    def compare(connection):
        options = {
            "include_schemas": True,
            "version_table_schema": metadata.schema,
            "compare_server_default": True,
            # Whatever else is in the database is not Tally's.
            "include_name": lambda name, kind, _: kind != "schema" or name == metadata.schema,
        }
        return compare_metadata(MigrationContext.configure(connection, opts=options), metadata)

    async with connect("postgres").engine.connect() as connection:
        assert await connection.run_sync(compare) == []


async def test_a_migrated_database_has_the_checks_that_the_schema_declares(owner, connect):
    """Alembic compares no CHECKs: the declared schema is created for real beside the other."""
    migrated = [tuple(row) for row in await owner.fetch(CHECKS)]
    options = set(map(tuple, await owner.fetch(OPTIONS)))
    await owner.execute("ALTER SCHEMA tally RENAME TO migrated")
    await owner.execute("CREATE SCHEMA tally")
    await owner.execute("CREATE TABLE tally.alembic_version ()")
    async with connect("postgres").engine.begin() as connection:
        await connection.run_sync(metadata.create_all)
    assert [tuple(row) for row in await owner.fetch(CHECKS)] == migrated
    assert set(map(tuple, await owner.fetch(OPTIONS))) == options
    assert len(migrated) > 15


async def test_migrating_twice_does_nothing_the_second_time(empty, owner):
    assert await migrate(empty) is True
    await owner.execute("UPDATE tally.total SET last_id = 1, count = 1")
    assert await migrate(empty) is False
    assert await owner.fetchval("SELECT last_id FROM tally.total") == 1
    await empty.check()


async def test_twelve_migrations_at_once_do_it_once(empty, connect, owner):
    done = await asyncio.gather(*(migrate(connect("postgres")) for _ in range(12)))
    assert sorted(done) == [False] * 11 + [True]
    assert await owner.fetchval("SELECT count(*) FROM tally.total") == 1


@pytest.mark.parametrize(
    "begun",
    [
        "CREATE SCHEMA tally",
        "CREATE SCHEMA tally; CREATE TABLE tally.alembic_version (version_num varchar(32))",
    ],
)
async def test_a_migration_waits_for_another_that_has_begun(empty, owner, begun):
    transaction = owner.connection.transaction()
    await transaction.start()
    await owner.execute(begun)
    migrating = asyncio.create_task(migrate(empty))
    await owner.waited_for()
    assert not migrating.done()
    await transaction.rollback()
    assert await migrating is True


async def test_a_migration_waits_for_another_of_a_ledger_that_is_there(connect, owner):
    async with owner.connection.transaction():
        await owner.execute("LOCK TABLE tally.alembic_version IN SHARE ROW EXCLUSIVE MODE")
        migrating = asyncio.create_task(migrate(connect("postgres")))
        await owner.waited_for()
    assert await migrating is False


@pytest.mark.parametrize("purged", [False, True])
@pytest.mark.parametrize("seed", range(4))
async def test_a_ledger_of_an_older_release_gets_its_history(
    empty, owner, start_writer, seed, purged
):
    """The audit replays what the migration made of resets and undos, whatever their times."""
    random = Random(seed)
    async with empty.engine.begin() as connection:
        await connection.execute(text("CREATE SCHEMA tally"))
        await connection.run_sync(lambda sync: upgrade(sync, "0003"))
    writer, resets, standing = start_writer(database=empty), Resets(empty), []
    for _ in range(120):
        match random.choice(("add", "reset", "undo", "reset", "undo")):
            case "add":
                await writer.add([random.randrange(-9, 9)] * random.choice((1, 2, 300)))
            case "reset":
                made, _ = await resets.reset()
                standing += [made.id] if made.id else []
            case "undo" if standing:
                await resets.undo(standing.pop())
    await owner.execute(
        "INSERT INTO tally.reset SELECT r.id + 1, 0, 0, t.last_id, t.last_id, now(),"
        " now(), t.last_id FROM (SELECT max(id) AS id FROM tally.reset) AS r, tally.total AS t"
    )
    if purged:
        await owner.execute(
            "UPDATE tally.total SET purged_through = id, purged_sum = sum_after FROM tally.entry"
            " WHERE id = cleared_through / 2;"
            "DELETE FROM tally.entry USING tally.total WHERE id <= purged_through"
        )
    await owner.execute(
        "UPDATE tally.reset SET at = now(), undone_at = undone_at - interval '1 day'"
    )
    assert await migrate(empty) is True
    assert (await audit(empty)).difference is None
    assert await owner.fetchval("SELECT count(*) FROM tally.move") > 10
    assert await owner.fetchval("SELECT count(*) FROM tally.stretch") > 1
    await writer.add([1] * 300)
    await resets.reset()
    assert (await audit(empty)).difference is None


async def test_a_newer_schema_is_left_alone(connect, owner):
    await owner.execute("UPDATE tally.alembic_version SET version_num = '9999'")
    database = connect("postgres")
    with pytest.raises(SchemaNewer, match=f"newer than {REVISION}.*run a newer release"):
        await migrate(database)
    assert await owner.fetchval("SELECT version_num FROM tally.alembic_version") == "9999"
    # Services go on meanwhile: a newer schema only adds to what they need.
    await database.check()


async def test_a_service_without_its_schema_says_so(empty):
    with pytest.raises(SchemaOutdated, match=f"this release needs {REVISION}"):
        await empty.check()


async def test_a_migration_that_fails_leaves_nothing_behind(empty, owner):
    await owner.execute("CREATE SCHEMA tally")
    await owner.execute("CREATE TABLE tally.writer (id int)")
    with pytest.raises(Unavailable) as failed:
        await migrate(empty)
    assert "already exists" in failed.value.detail
    tables = await owner.fetch(
        "SELECT relname FROM pg_class WHERE relnamespace = 'tally'::regnamespace"
    )
    assert [row["relname"] for row in tables] == ["writer"]
    await owner.execute("DROP TABLE tally.writer")
    assert await migrate(empty) is True


async def test_an_owner_who_may_make_no_roles_can_migrate(ledger, owner, connect, empty):
    name = await owner.fetchval("SELECT current_database()::text")
    await owner.execute(f"CREATE ROLE landlord_{name} LOGIN")
    try:
        await owner.execute(f"GRANT CREATE, CONNECT ON DATABASE {name} TO landlord_{name}")
        assert await migrate(connect(f"landlord_{name}")) is True
        display = await asyncpg.connect(ledger.url("tally_display"))
        assert await display.fetchval("SELECT count FROM tally.total") == 0
        await display.close()
    finally:
        await owner.execute(f"DROP OWNED BY landlord_{name}")
        await owner.execute(f"DROP ROLE landlord_{name}")


async def test_the_revision_of_a_database_is_read(connect, empty):
    async with empty.engine.connect() as connection:
        assert await current_revision(connection) is None
    await migrate(empty)
    async with empty.engine.connect() as connection:
        assert await current_revision(connection) == REVISION
        assert await connection.scalar(text("SELECT count(*) FROM tally.alembic_version")) == 1
