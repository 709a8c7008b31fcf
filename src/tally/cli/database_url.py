"""Which database a command works on: the one that is set, or this machine's own."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import asyncpg
from sqlalchemy.exc import DBAPIError

from tally.database_url import parse
from tally.embedded import postgres
from tally.embedded.sharing import attach_or_start
from tally.settings import Settings

_FAILED: Final = (
    *(asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError),
    DBAPIError,
)
_NOT_REACHED: Final = (*_FAILED, OSError, ValueError)


class UnusableDatabase(Exception):
    """The database can't be used; one line that says what to do, without the password."""


class NoLedger(Exception):
    """There is no ledger where a command that makes none looks for one."""


@contextmanager
def database_url(
    settings: Settings,
    notice: Callable[[str], None],
    *,
    creates: bool = False,
    binaries: Path | None = None,
) -> Iterator[str]:
    """Give the owner's URL, with the embedded server running for as long as the block does.

    Unless it `creates` what is missing, nothing is made. `binaries` are the programs that made the
    embedded data, if not the installed ones. Raises `EmbeddedError` or `NoLedger`.
    """
    if settings.database_url is not None:
        yield settings.database_url
        return
    if not creates and postgres.version_of(settings.data_dir) is None:
        raise no_ledger(settings)
    with attach_or_start(settings.data_dir, notice, binaries=binaries) as server:
        yield server.admin_url


def no_ledger(settings: Settings) -> NoLedger:
    """Say where there is no ledger, and how to make one."""
    if settings.database_url is not None:
        where = f"TALLY_DATABASE_URL ({_shown(settings.database_url)})"
        return NoLedger(f"there is no ledger in {where}: `tally migrate` makes one")
    return NoLedger(
        f"there is no ledger in {settings.data_dir.absolute()}: go where yours is or set"
        " TALLY_DATA_DIR; `tally up` or `tally migrate` makes a new one"
    )


@contextmanager
def checked(settings: Settings, *, connecting: bool = False) -> Iterator[None]:
    """Turn what goes wrong with a database into one line, and more of it while `connecting`.

    Raises `UnusableDatabase`.
    """
    kinds = _NOT_REACHED if connecting else _FAILED
    try:
        yield
    except kinds as error:
        original: BaseException = error
        if isinstance(error, DBAPIError) and error.orig is not None:
            original = error.orig.__cause__ or error.orig  # asyncpg's own
        raise UnusableDatabase(_described(settings, original)) from None


def _described(settings: Settings, error: BaseException) -> str:
    reason = str(error).splitlines()[0] if str(error) else type(error).__name__
    if settings.database_url is None:
        return f"the PostgreSQL of {settings.data_dir.absolute()} failed: {reason}"
    remedy = "start the server or correct the URL"
    if isinstance(error, asyncpg.InvalidCatalogNameError):
        reason, remedy = "there is no such database", "create it"
    elif isinstance(error, asyncpg.InvalidAuthorizationSpecificationError):
        remedy = "correct the user or the password"
    elif isinstance(error, asyncpg.InsufficientPrivilegeError):
        remedy = "use a user that owns the database"
    shown = _shown(settings.database_url)
    return f"TALLY_DATABASE_URL ({shown}) can't be used: {reason}; {remedy}"


def _shown(url: str) -> str:
    """Give hosts, ports and the database, without user and password."""
    return parse(url).shown if url else "local socket"
