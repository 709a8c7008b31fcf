"""Replaying answers: a request whose key was answered before gets its first answer again."""

from collections.abc import Iterable, Sequence
from typing import Any, Final

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

from tally.amount import Amount
from tally.ledger.add import Added, Key, KeyReused, Request, digest
from tally.ledger.database import Database
from tally.ledger.schema import AmountType, array_literal, from_numeric

_REPLAY: Final = "SELECT * FROM tally.recall($1)"
_RECALL: Final = text(
    "SELECT key, body, first_id, last_id, sum, count AS count_then, value FROM tally.recall(:keys)"
).columns(sum=AmountType, value=AmountType)


async def replay(database: Database, connection: Any, requests: Iterable[Request]) -> None:  # noqa: ANN401
    """Answer those of the requests whose keys were answered before, once that is durable."""
    keyed = {request.key.key: request for request in requests if request.key is not None}
    ended_waits = database.ended_waits
    rows = await connection.fetch(_REPLAY, array_literal(keyed), timeout=database.timeout)
    database.require_waited(ended_waits)
    for row in rows:
        request = keyed[row["key"].hex]
        request.settle(_first_answer(row, request.key))


def _first_answer(row: Any, key: Key | None) -> Added | KeyReused:  # noqa: ANN401
    if key is None or row["body"].hex != key.body:
        return KeyReused("this key was used before with another body")
    return Added(
        row["first_id"], row["last_id"], from_numeric(row["sum"]), row["count"], replayed=True
    )


async def replay_answer(database: Database, key: str) -> tuple[Added, Amount | None] | None:
    """Read what an add under this key did, with the value if it was one; None if there is none."""
    row = (await recall(database, [digest(key)])).get(digest(key))
    if row is None:
        return None
    value = row.value if row.first_id == row.last_id else None
    return Added(row.first_id, row.last_id, row.sum, row.count_then, replayed=True), value


async def recall(database: Database, keys: Iterable[str]) -> dict[str, Row[Any]]:
    """Read the first answers to those of the keys that have one, by key, once they are durable."""
    listed = array_literal(keys)

    async def work(connection: AsyncConnection) -> Sequence[Row[Any]]:
        ended_waits = database.ended_waits
        rows = (await connection.execute(_RECALL, {"keys": listed})).all()
        database.require_waited(ended_waits)
        return rows

    # A statement by itself has waited when it ends.
    return {row.key.hex: row for row in await database.run(work, autocommit=True)}
