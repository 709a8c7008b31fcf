"""A session of Tally's is the same whatever a database, a role or a server has for defaults.

How it is opened, and who is asked again when, is shown with a server that is made up.
"""

import asyncio
import itertools
import shutil
import tempfile
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import asyncpg
import pytest

from tally import database_url
from tally.embedded import postgres
from tally.ledger import session as module
from tally.ledger.audit import audit
from tally.ledger.database import Database
from tally.ledger.export import export
from tally.ledger.failures import UnusableServer
from tally.ledger.importer import Imported, batch_keys, counted_before, import_keyed
from tally.ledger.migrate import migrate
from tally.ledger.purge import purge
from tally.ledger.reader import Reader
from tally.ledger.resets import Resets
from tally.ledger.session import Sessions
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


# --- How a session is opened ----------------------------------------------------------------------


class MadeUp:
    """A session as a server gives it: its number, and the backends that turn out to serve it."""

    def __init__(self, number: int, backends: Any, slow: bool) -> None:
        self._number = number
        self._backends = iter(backends)
        self._slow = slow
        self.ended: list[Any] = []
        self.terminated = False
        self.closed = False

    def get_server_pid(self) -> int:
        return self._number

    async def fetchval(self, query: str) -> Any:
        await asyncio.sleep(PATIENCE if self._slow else 0)
        backend = next(self._backends)
        if isinstance(backend, Exception):
            raise backend
        return backend

    async def execute(self, query: str, *given: Any) -> None:
        assert not self.terminated

    async def fetch(self, query: str, *given: Any) -> None:
        self.ended.append(given)

    def is_closed(self) -> bool:
        return self.closed

    def terminate(self) -> None:
        self.terminated = True


class Server:
    """In the place of `Hosts`: refuses logins as it is told, and keeps what they asked for."""

    def __init__(self) -> None:
        self.asked: list[dict[str, str]] = []
        self.refuse: list[Exception] = []
        self.sessions: list[MadeUp] = []
        self.backends: Any = None
        self.slow = False

    async def connect(self, settings: dict[str, str], seconds: float) -> MadeUp:
        assert seconds == 2.0
        self.asked.append(settings)
        if self.refuse:
            raise self.refuse.pop(0)
        number = len(self.sessions) + 1
        backends = self.backends[number - 1] if self.backends else itertools.repeat(number)
        self.sessions.append(MadeUp(number, backends, self.slow))
        return self.sessions[-1]


@pytest.fixture
def made_up() -> Server:
    return Server()


@pytest.fixture
def sessions(made_up) -> Sessions:
    sessions = Sessions(database_url.parse("postgresql://me@/x"), 2.0)
    sessions.hosts = made_up
    return sessions


@pytest.fixture
def now(monkeypatch) -> SimpleNamespace:
    moment = SimpleNamespace(seconds=1000.0)
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: moment.seconds))
    return moment


@pytest.mark.parametrize(
    ("error", "seconds"),
    [
        (asyncpg.TooManyConnectionsError("full"), 0.0),
        (asyncpg.InvalidPasswordError("no"), 0.5),
        (TimeoutError("silent"), 2.0),
        (ConnectionRefusedError("away"), 0.0),
    ],
)
async def test_a_server_that_refuses_is_left_alone_for_a_while(
    sessions, made_up, now, error, seconds
) -> None:
    made_up.refuse = [error]
    with pytest.raises(type(error)):
        await sessions.open()
    now.seconds += seconds * 0.99
    if seconds:
        with pytest.raises(type(error)):
            await sessions.open()
        assert len(made_up.asked) == 1
    now.seconds += seconds * 0.01
    await sessions.open()
    assert len(made_up.asked) == 2


async def test_an_older_server_is_spared_what_it_does_not_know(sessions, made_up) -> None:
    made_up.refuse = [asyncpg.UndefinedObjectError("what?")]
    for _ in range(2):
        await sessions.open()
    known = ["transaction_timeout" in it for it in made_up.asked]
    assert known == [True, False, False]
    assert all("statement_timeout" in it for it in made_up.asked)
    made_up.refuse = [asyncpg.UndefinedObjectError("what?")]
    with pytest.raises(asyncpg.UndefinedObjectError):
        await sessions.open()


async def test_a_pooler_is_spared_all_but_the_name(sessions, made_up) -> None:
    made_up.refuse = [asyncpg.ProtocolViolationError("unsupported startup parameter")]
    for _ in range(2):
        await sessions.open()
    assert [[*it] for it in made_up.asked[1:]] == [["application_name"]] * 2
    made_up.refuse = [asyncpg.ProtocolViolationError("unsupported startup parameter")]
    with pytest.raises(asyncpg.ProtocolViolationError):
        await sessions.open()


async def test_each_ends_what_was_given_up_and_spares_what_is_open(sessions, made_up) -> None:
    opened = [await sessions.open() for _ in range(2)]
    opened[0].closed = True
    await sessions.open()
    names = [it["application_name"] for it in made_up.asked]
    prefix = names[0].removesuffix(" 1")
    assert names == [f"{prefix} {number}" for number in (1, 2, 3)]
    assert [it.ended for it in made_up.sessions] == [
        [(f"{prefix} %", [names[0]])],
        [(f"{prefix} %", [names[1], names[0]])],
        [(f"{prefix} %", [names[2], names[1]])],
    ]
    assert not any(it.terminated for it in opened)


async def test_two_processes_do_not_end_each_other_s(sessions, made_up) -> None:
    other = Sessions(database_url.parse("postgresql://me@/x"), 2.0)
    other.hosts = made_up
    await sessions.open()
    await other.open()
    assert made_up.sessions[0].ended[0][0] != made_up.sessions[1].ended[0][0]


async def test_one_is_opened_at_a_time(sessions, made_up) -> None:
    await asyncio.gather(*(sessions.open() for _ in range(3)))
    assert [len(it.ended[0][1]) for it in made_up.sessions] == [1, 2, 3]


async def test_one_that_can_t_be_made_ready_is_closed(sessions, made_up) -> None:
    made_up.slow = True
    with pytest.raises(TimeoutError):
        await sessions.open()
    assert made_up.sessions[0].terminated


SHARED = asyncpg.ProtocolViolationError("the session's transaction is over")


@pytest.mark.parametrize(
    ("backends", "usable"),
    [
        pytest.param([[7] * 99, [8] * 99], True, id="a backend each"),
        pytest.param([[7] * 99, itertools.cycle([8, 9])], True, id="the other one's changes"),
        pytest.param([itertools.cycle([7, 9]), [8] * 99], False, id="its own changes"),
        pytest.param([[7] * 99, [8] * 5 + [7] * 99], False, id="once the other one's"),
        pytest.param([[7] * 99, [8] * 9 + [7] * 99], False, id="the last of ten looks"),
        pytest.param([[7] * 99, [8] * 10 + [7] * 99], True, id="after ten looks"),
        pytest.param([[7, SHARED], [8] * 99], False, id="it is refused"),
    ],
)
async def test_a_pooler_must_give_a_session_its_own_backend(
    sessions, made_up, backends, usable
) -> None:
    made_up.backends = backends
    if usable:
        await sessions.open()
    else:
        with pytest.raises(UnusableServer) as refused:
            await sessions.open()
        assert "pool_mode=session" in refused.value.detail
    assert [it.terminated for it in made_up.sessions] == [not usable, True]
    assert made_up.asked[1]["application_name"].endswith(" 0")
