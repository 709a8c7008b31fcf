"""PostgreSQL and the model of it, spoken to alike."""

import asyncpg

from simulation.backend import Backend
from simulation.connection import Connection
from simulation.functions import Functions
from simulation.server import Server

ADD = "SELECT * FROM tally.add_batch($1, $2, $3, $4, $5, $6, $7)"
REGISTER = "SELECT tally.register_writer($1)"
RECALL = "SELECT * FROM tally.recall($1)"
# Not compared: each has its own clock.
TIMES = {"at", "undone_at"}


def model(functions=Functions):
    """A server of the model, whose messages take no time; for the loop that runs."""
    return Server(functions(), [], lambda: 0, lambda *moment: None, lambda *events: None)


def connect(server):
    """A connection to a server of the model."""
    backend = Backend(server, "owner", "a test")
    server.backends.append(backend)
    return Connection(backend, lambda: 0)


async def outcome(connection, query, *arguments):
    """The rows without their times, or what kind of error it was."""
    try:
        rows = await connection.fetch(query, *arguments)
    except (asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        return type(error).__name__, getattr(error, "sqlstate", None)
    return sorted(
        [tuple(value for name, value in row.items() if name not in TIMES) for row in rows],
        key=first,
    )


def first(row):
    return str(row[0])


def literal(items):
    return "{" + ",".join(items) + "}"
