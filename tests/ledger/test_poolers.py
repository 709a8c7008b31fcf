"""PgBouncer in front of the database: sessions of one's own work, shared ones are refused."""

import contextlib

import asyncpg
import httpx
import pytest

from tests.support.command import refusal, run
from tests.support.distribution_postgres import serving
from tests.support.http import ENTRIES
from tests.support.pgbouncer import pgbouncer
from tests.support.postgres import SERVICES

REASON = "pool_mode=session"


@pytest.fixture(scope="module")
def database():
    with serving() as url:
        assert run("migrate", TALLY_DATABASE_URL=url).returncode == 0
        yield url


@pytest.fixture
def pooled(database):
    """Starts it in a mode; gives URLs through it by role."""
    with contextlib.ExitStack() as stack:

        def start(mode, **settings):
            folder = stack.enter_context(
                pgbouncer(database.partition("host=")[2], mode, **settings)
            )
            return lambda role: f"postgresql://{role}@/{role}?host={folder}&port=6432"

        yield start


def test_every_service_and_command_works_on_sessions_of_its_own(pooled, tally_up) -> None:
    url = pooled("session")
    roles = {f"TALLY_{it.upper()}_DATABASE_URL": url(f"tally_{it}") for it in SERVICES}
    running = tally_up(TALLY_DATABASE_URL=url("me"), **roles)
    with httpx.Client(base_url=running.url, timeout=60) as client:
        for _ in range(2):
            key = {"Idempotency-Key": "pooled"}
            assert client.post(ENTRIES, json={"value": 1}, headers=key).status_code == 201
        made = client.post("/reset_service/resets").json()
        assert client.delete(f"/reset_service/resets/{made['id']}").status_code == 200
        assert client.get("/display_service/total").json()["sum"] == "1"
        for service in SERVICES:
            assert client.get(f"/{service}_service/readyz").status_code == 200
    assert running.stop() == 0
    for command in ("migrate", "audit", "export", "add 2", "purge --older-than 1d --yes"):
        done = run(*command.split(), TALLY_DATABASE_URL=url("me"))
        assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("pool", ["", "server_round_robin"])
@pytest.mark.parametrize("mode", ["transaction", "statement"])
def test_shared_sessions_are_refused_with_the_reason(pooled, mode, pool) -> None:
    url = pooled(mode, **({pool: "1"} if pool else {}))
    assert REASON in refusal(run("audit", TALLY_DATABASE_URL=url("me")), 3)
    for service in SERVICES:
        role = f"tally_{service}"
        said = refusal(run("serve", service, "--port", "0", TALLY_DATABASE_URL=url(role)), 1)
        assert REASON in said


async def test_nothing_is_left_in_a_shared_session(pooled) -> None:
    """Others use it too, with settings of their own."""
    url = pooled("transaction")
    other = await asyncpg.connect(url("me"), statement_cache_size=0)
    before = await other.fetchval("SHOW search_path")
    run("audit", TALLY_DATABASE_URL=url("me"))
    assert await other.fetchval("SHOW search_path") == before
    await other.close()
