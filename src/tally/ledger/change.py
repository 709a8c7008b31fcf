"""A change beside the adds: a call of a database function that locks the total."""

import uuid
from typing import Any, Final

import asyncpg
from sqlalchemy import TextualSelect, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

_FREE: Final = text("SELECT tally.free_total()")
# How long a change waits for the total before it asks who keeps it: well within a request's time.
_BOUND_LOCKS: Final = text("SET LOCAL lock_timeout = '1s'")

Given = dict[str, uuid.UUID] | dict[str, int]


async def change(connection: AsyncConnection, call: TextualSelect, given: Given) -> tuple[Any, ...]:
    """Call a function that locks the total, again once those that keep it were ended."""
    await connection.execute(_BOUND_LOCKS)
    while True:
        try:
            async with connection.begin_nested():
                return tuple((await connection.execute(call, given)).one())
        except DBAPIError as error:
            if not isinstance(cause_of(error), asyncpg.LockNotAvailableError):
                raise
        await connection.execute(_FREE)


def cause_of(error: DBAPIError) -> BaseException | None:
    """Give asyncpg's own error."""
    return error.orig.__cause__ if error.orig is not None else None
