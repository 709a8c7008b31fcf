"""Which database a command works on: the one that is set, or this machine's own."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import asyncpg

from tally.database_url import parse
from tally.embedded import postgres
from tally.settings import Settings


class UnusableDatabase(Exception):
    """TALLY_DATABASE_URL can't be used; one line that says what to do, without the password."""


@contextmanager
def database_url(settings: Settings, notice: Callable[[str], None]) -> Iterator[str]:
    """Give the owner's URL, with the embedded server running for as long as the block does.

    Raises `UnusableDatabase` or `EmbeddedError`.
    """
    if settings.database_url is not None:
        with checked(settings.database_url):
            yield settings.database_url
        return
    server = postgres.running(settings.data_dir)
    with server or postgres.start(settings.data_dir, notice) as server:
        yield server.admin_url


@contextmanager
def checked(url: str) -> Iterator[None]:
    """Turn what goes wrong with a database that was set into one line."""
    try:
        yield
    except asyncpg.InvalidCatalogNameError:
        raise _unusable(url, "there is no such database", "create it") from None
    except asyncpg.InvalidAuthorizationSpecificationError as error:
        raise _unusable(url, str(error), "correct the user or the password") from None
    except asyncpg.InsufficientPrivilegeError as error:
        raise _unusable(url, str(error), "use a user that owns the database") from None
    except (
        *(OSError, ValueError, asyncpg.PostgresError),
        *(asyncpg.InterfaceError, asyncpg.InternalClientError),
    ) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise _unusable(url, reason, "start the server or correct the URL") from None


def _unusable(url: str, reason: str, remedy: str) -> UnusableDatabase:
    shown = parse(url).shown if url else "local socket"
    return UnusableDatabase(f"TALLY_DATABASE_URL ({shown}) can't be used: {reason}; {remedy}")
