"""Says at the start where PostgreSQL's roles do not keep the services apart."""

import asyncio
from collections.abc import Sequence
from typing import Final

from tally.ledger.failures import Unavailable, UnusableServer
from tally.ledger.privileges import powers_beyond
from tally.services.service import Service
from tally.web.log import Log

# Seconds before a database that is away, or refuses, is asked again.
_PAUSE: Final = 1.0


async def warn_unless_separated(services: Sequence[Service], log: Log) -> None:
    """Log whether a service may change what is not its own; waits for the database.

    Raises `UnusableServer`.
    """
    roles, found = {}, {}
    for service in services:
        roles[service.name], beyond = await _powers_beyond(service)
        if beyond:
            found[service.name] = f"{roles[service.name]} may do more: {', '.join(beyond)}"
    if found:
        log.write("warning", "roles separate nothing", **found)
    else:
        log.write("info", "roles checked", **roles)


async def _powers_beyond(service: Service) -> tuple[str, list[str]]:
    role = f"tally_{service.name}"
    while True:
        try:
            return await service.database.run(lambda connection: powers_beyond(connection, role))
        except UnusableServer:
            raise
        except Unavailable:
            await asyncio.sleep(_PAUSE)
