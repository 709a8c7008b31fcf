"""A zone is lost while people add: nothing acknowledged is gone, nothing counts twice."""

import asyncio
import ssl

import httpx
import pytest

from rehearsal import zone
from tally.ledger.audit import audit
from tally.ledger.database import Database

CLIENTS = 4
# Of each client, before the zone is lost and after it.
ADDS = 25
# Until what never comes is given up: health checks alone take half a minute.
PATIENCE = 240


async def until_answered(client, method, path, status, **given):
    """Ask again as long as nobody answers, or nobody can; give the answer."""
    while True:
        try:
            answer = await client.request(method, path, **given)
        except httpx.TransportError:
            continue
        if answer.status_code == status:
            return answer
        assert answer.status_code >= 500, answer.text
        await asyncio.sleep(0.1)


async def add_all(client, numbers, added):
    """Add 1 under a key of its own for each number, until that is acknowledged."""
    for number in numbers:
        headers = {"Idempotency-Key": f"add-{number}"}
        add = {"json": {"value": "1"}, "headers": headers}
        await until_answered(client, "POST", "/adder_service/entries", 201, **add)
        added.add(number)


@pytest.mark.parametrize("lost", ["primary", "standby"])
def test_what_is_acknowledged_counts_once(all_of_it, lost):
    with all_of_it() as (_, stands, _):
        asyncio.run(lose_one_under_load(stands, lost))


async def lose_one_under_load(stands, lost):
    primary = stands.database.primary
    zones = {host.zone for host in stands.database.servers}
    gone = primary.zone if lost == "primary" else (zones - {primary.zone}).pop()
    trusted = ssl.create_default_context(cafile=stands.authority)
    async with (
        asyncio.timeout(PATIENCE),
        httpx.AsyncClient(base_url=stands.url, verify=trusted, timeout=15) as client,
    ):
        added = set()
        for first in (0, CLIENTS * ADDS):
            begins = range(first, first + CLIENTS * ADDS, ADDS)
            parts = [range(it, it + ADDS) for it in begins]
            adding = [asyncio.create_task(add_all(client, it, added)) for it in parts]
            if first:
                await asyncio.to_thread(zone.lose, stands, gone)
            await asyncio.gather(*adding)
        answer = await until_answered(client, "GET", "/display_service/total", 200)
    total = answer.json()
    assert (total["sum"], total["count"]) == (str(len(added)), len(added))
    assert len(added) == 2 * CLIENTS * ADDS
    database = Database(stands.database.admin_url, timeout=60)
    report = await audit(database)
    await database.close()
    assert (report.checked, report.difference) == (len(added), None)
