"""`tally migrate`, `tally audit` and `tally purge`."""

import asyncio
import json

import asyncpg

from tally.ledger.schema import REVISION
from tests.support.command import refusal, result, run


def test_migrate_may_be_repeated(ledger) -> None:
    done = result(run("migrate", "--json", TALLY_DATABASE_URL=ledger.owner_url))
    assert done == {"revision": REVISION, "migrated": False, "newer": False}


def test_audit_finds_drift(ledger, tally) -> None:
    result(tally("add", "5", "6", "7", "--json"))
    clean = {"clean": True, "checked": 3, "difference": None, "privileges": []}
    assert result(tally("audit", "--json")) == clean

    async def tamper() -> None:
        connection = await asyncpg.connect(ledger.owner_url)
        await connection.execute("UPDATE tally.entry SET value = 60 WHERE id = 2")
        await connection.close()

    asyncio.run(tamper())
    found = tally("audit", "--json")
    assert found.returncode == 1
    report = json.loads(found.stdout)
    assert not report["clean"]
    assert "2" in report["difference"]


def test_purge_deletes_what_was_cleared(tally) -> None:
    result(tally("add", "5", "6", "--json"))
    result(tally("reset", "--yes", "--json"))
    assert result(tally("purge", "--older-than", "1d", "--yes", "--json")) == {"deleted": 0}
    assert result(tally("purge", "--older-than", "0s", "--yes", "--json")) == {"deleted": 2}
    assert result(tally("audit", "--json"))["clean"]
    assert refusal(tally("undo", "1"), 1)
    assert tally("purge", "--older-than", "soon", "--yes").returncode == 2
    assert tally("purge", "--yes").returncode == 2
