"""How a command fails: one line on stderr, and an exit status that scripts can tell apart."""

from collections.abc import Iterator
from contextlib import contextmanager

import click

from tally.settings import InvalidSetting


class Refused(click.ClickException):
    """The command was understood and can't be done: exit status 1."""

    exit_code = 1


class Unusable(Refused):
    """What was given can't be used: exit status 2."""

    exit_code = 2


class NotAvailable(Refused):
    """The database, or AWS, can't be reached: exit status 3."""

    exit_code = 3


@contextmanager
def explained() -> Iterator[None]:
    """Turn what may go wrong in any command into one line."""
    from tally.cli.database_url import NoLedger, UnusableDatabase
    from tally.embedded.error import EmbeddedError
    from tally.embedded.programs import MissingPrograms
    from tally.ledger.failures import SchemaOutdated, Unavailable
    from tally.ledger.migrate import SchemaNewer

    try:
        yield
    except InvalidSetting as error:
        raise Unusable(str(error)) from error
    except SchemaOutdated as error:
        raise Refused(f"{error}: run `tally migrate` first") from error
    except (SchemaNewer, MissingPrograms) as error:
        raise Refused(str(error)) from error
    except Unavailable as error:
        detail = f": {error.detail}" if error.detail else ""
        raise NotAvailable(f"{error}{detail}") from error
    except (NoLedger, EmbeddedError, UnusableDatabase) as error:
        raise NotAvailable(str(error)) from error
