"""Faults of those who run Tally."""

import asyncio
from collections.abc import AsyncIterator

from faults.faults.fault import fault
from faults.nemesis import Nemesis


@fault("two migrations at once")
async def two_migrations_at_once(nemesis: Nemesis) -> AsyncIterator[str]:
    """`tally migrate` twice at the same time, under load."""
    ran = await asyncio.gather(*(nemesis.system.tally("migrate") for _ in range(2)))
    yield f"exit statuses {', '.join(str(command.status) for command in ran)}"
