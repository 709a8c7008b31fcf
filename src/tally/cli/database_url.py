"""Which database a command works on: the one that is set, or this machine's own."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import asyncpg

from tally.embedded import postgres
from tally.ledger.database import SchemaOutdated, Unavailable
from tally.ledger.migrate import SchemaNewer
from tally.settings import Settings


class TargetError(Exception):
    """The database can't be used; one line that says what to do, without the password."""


@contextmanager
def database_url(settings: Settings, notice: Callable[[str], None]) -> Iterator[str]:
    """Give the owner's address, with the embedded server running for as long as it is needed.

    Raises `TargetError` or `EmbeddedError`.
    """
    if settings.database_url is not None:
        with explained(settings.database_url):
            yield settings.database_url
        return
    server = postgres.running(settings.data_dir)
    with server or postgres.start(settings.data_dir, notice) as server:
        yield server.admin_url


@contextmanager
def explained(url: str) -> Iterator[None]:
    """Turn what goes wrong with a database that was set into one line."""
    place = _place(url)
    try:
        yield
    except asyncpg.InvalidCatalogNameError:
        raise _wrong(place, "there is no such database", "create it") from None
    except asyncpg.InvalidAuthorizationSpecificationError as error:
        raise _wrong(place, str(error), "correct the user or the password") from None
    except (SchemaNewer, SchemaOutdated, Unavailable):
        raise
    except asyncpg.InsufficientPrivilegeError as error:
        raise _wrong(place, str(error), "use a user that owns the database") from None
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, ValueError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise _wrong(place, reason, "start the server or correct the address") from None


def _wrong(place: str, reason: str, remedy: str) -> TargetError:
    return TargetError(f"TALLY_DATABASE_URL ({place}) can't be used: {reason}; {remedy}")


def _place(url: str) -> str:
    """Host, port and database, without user and password."""
    parts = urlsplit(url)
    return f"{parts.netloc.rpartition('@')[2] or 'local socket'}{parts.path}"
