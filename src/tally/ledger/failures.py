"""What an error of the database's means: for the connection, for the request, for a client."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import asyncpg
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

# By class, and by code, of PostgreSQL's SQLSTATEs (its documentation's appendix A). Another
# connection may serve: this one is broken, or leads to a server that is away, full, or not the one
# that takes changes; or its state is not what was left there, as behind a pooler.
_LOSSES: Final = (
    *("08", "53", "57", "58", "F0", "XX"),
    "0A000",  # cached plan must not change result type: somebody changed a table
    *("24", "25", "26", "34", "40", "42P03", "42P05", "55000", "55006", "72"),
)
# No other connection serves until somebody mends it: the password, the database, or the ledger and
# privileges.
_REFUSALS: Final = ("0L", "0P", "28", "3D", "3F", "42")
# Answers after which a transaction may still have been committed: of a connection that fails, and
# 40003, statement_completion_unknown. A pooler gives the former for the server's.
_OPEN: Final = ("08", "40003")


class Unavailable(Exception):
    """The database can't be reached, did not answer in time, or refuses.

    `outcome_known` is true where the request certainly changed nothing. That of a request with a
    key, which is `keyed`, may be a repeat: whether an earlier try changed something is open.
    `detail` is PostgreSQL's word, for those who run the service and not for its clients.
    """

    def __init__(
        self, reason: str, *, outcome_known: bool = True, keyed: bool = False, detail: str = ""
    ) -> None:
        super().__init__(reason)
        self.outcome_known = outcome_known
        self.keyed = keyed
        self.detail = detail

    def under_key(self) -> "Unavailable":
        """Say the same of a request with a key."""
        return Unavailable(
            str(self), outcome_known=self.outcome_known, keyed=True, detail=self.detail
        )


class SchemaOutdated(Exception):
    """The database lacks migrations that this code needs."""


class UnusableServer(Unavailable):
    """What answers is no server that Tally can work with, now or later; `detail` says why."""

    def __init__(self, detail: str) -> None:
        super().__init__("the database can't be used", detail=detail)


def is_connection_loss(error: BaseException | None) -> bool:
    """Tell whether an error means that the connection, and not the request, is at fault."""
    if isinstance(error, DBAPIError) and error.connection_invalidated:
        return True
    match _cause(error):
        case asyncpg.PostgresError() as cause:
            return _is_one_of(cause, _LOSSES)
        case OSError() | PoolTimeout() | TimeoutError():
            return True
        # What the caller did wrong; also a file of the database URL's that can't be read.
        case ValueError():
            return False
        # asyncpg's internal error is what a request meets on a connection that was ended while
        # idle, or where no host is of the kind that was asked for.
        case asyncpg.InterfaceError() | asyncpg.InternalClientError():
            return True
    return False


def refusal(error: BaseException) -> Unavailable | None:
    """Say that the database refuses, if that is what an error means."""
    cause = _cause(error)
    if isinstance(cause, UnusableServer):
        return cause
    if isinstance(cause, asyncpg.ClientConfigurationError) or (
        isinstance(cause, asyncpg.PostgresError)
        and _is_one_of(cause, _REFUSALS)
        and not _is_one_of(cause, _LOSSES)
    ):
        return Unavailable("the database refuses", detail=str(cause))
    return None


@contextmanager
def unavailable_if_lost() -> Iterator[None]:
    """Raise `Unavailable` where the database went away, or refuses."""
    try:
        yield
    except Exception as error:
        if is_connection_loss(error):
            raise Unavailable("the database went away", detail=str(_cause(error))) from error
        if (refused := refusal(error)) is not None:
            raise refused from error
        raise


def was_undone(error: BaseException) -> bool:
    """Tell whether a transaction certainly was not committed, because it was answered by an error.

    A fatal one may follow a commit, and ends the connection.
    """
    cause = _cause(error)
    return (
        isinstance(cause, asyncpg.PostgresError)
        and (cause.severity_en or cause.severity) == "ERROR"
        and not _is_one_of(cause, _OPEN)
    )


def _is_one_of(error: asyncpg.PostgresError, states: tuple[str, ...]) -> bool:
    return (error.sqlstate or "").startswith(states)


def _cause(error: BaseException | None) -> BaseException | None:
    """Give asyncpg's own error, which SQLAlchemy wraps twice."""
    if isinstance(error, DBAPIError) and error.orig is not None:
        return error.orig.__cause__ or error.orig
    return error
