"""A prepared statement, as SQLAlchemy uses asyncpg's."""

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Final

from simulation.statements import columns_of

if TYPE_CHECKING:
    from simulation.connection import Connection

# The only type that SQLAlchemy looks at, by its number in pg_type.
_NUMERIC: Final = 1700


class Prepared:
    """Its rows are tuples, in the order of its attributes."""

    def __init__(self, connection: "Connection", query: str) -> None:
        self._connection = connection
        self._query = query

    def get_attributes(self) -> list[SimpleNamespace]:
        return [
            SimpleNamespace(name=name, type=SimpleNamespace(oid=_NUMERIC if name == "sum" else 0))
            for name in columns_of(self._query)
        ]

    async def fetch(self, *arguments: Any) -> list[tuple[Any, ...]]:
        rows = await self._connection.fetch(self._query, *arguments)
        return [tuple(row.values()) for row in rows]

    def get_statusmsg(self) -> str:
        return ""
