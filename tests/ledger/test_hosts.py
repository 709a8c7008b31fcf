"""A database of several hosts is reached by whichever answers as asked, however the others fail."""

import socket
from collections.abc import Iterator
from urllib.parse import parse_qs, urlsplit

import asyncpg
import pytest

from tally.ledger.database import Database
from tests.support.distribution_postgres import serving, standby_of


@pytest.fixture(scope="module")
def pair() -> Iterator[dict[str, str]]:
    """The folders of the sockets of a primary and of its standby."""
    with serving() as primary, standby_of(primary) as standby:
        yield {
            role: parse_qs(urlsplit(url).query)["host"][0]
            for role, url in (("primary", primary), ("standby", standby))
        }


@pytest.fixture
def silent() -> Iterator[str]:
    """A host that takes connections and never answers, as one that is frozen."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield str(listener.getsockname()[1])


@pytest.mark.parametrize(
    ("wanted", "order", "reached"),
    [
        ("primary", "silent standby primary", "primary"),
        ("read-write", "standby silent primary", "primary"),
        ("standby", "primary silent standby", "standby"),
        ("prefer-standby", "primary silent standby", "standby"),
        ("prefer-standby", "silent refused primary", "primary"),
        ("any", "refused silent standby primary", "standby"),
    ],
)
async def test_a_host_that_does_not_answer_keeps_nobody_from_the_others(
    pair, silent, wanted, order, reached
):
    places = {
        "silent": ("127.0.0.1", silent),
        "refused": ("127.0.0.1", "1"),
        **{role: (folder, "5432") for role, folder in pair.items()},
    }
    names, ports = zip(*(places[name] for name in order.split()), strict=True)
    database = Database(
        f"postgresql://me@/postgres?host={','.join(names)}&port={','.join(ports)}"
        f"&target_session_attrs={wanted}",
        timeout=5,
    )
    connection = await database.connect()
    try:
        in_recovery = await connection.fetchval("SELECT pg_is_in_recovery()")
    finally:
        await connection.close()
    assert in_recovery == (reached == "standby")


async def test_no_host_leads(pair):
    database = Database(
        f"postgresql://me@/postgres?host={pair['standby']},{pair['standby']}"
        "&target_session_attrs=primary",
        timeout=5,
    )
    with pytest.raises(asyncpg.TargetServerAttributeNotMatched):
        await database.connect()
