"""Serving: `tally up`, `tally serve`, and `tally health`, which asks a service how it is."""

from dataclasses import replace

import click

from tally.cli.errors import Refused, Unusable, explained
from tally.cli.options import example
from tally.cli.streams import note
from tally.settings import InvalidSetting, Settings, read_settings

_port = click.option(
    "--port", type=click.IntRange(0, 65535), help="Serve on this port (TALLY_PORT)."
)
_host = click.option("--host", help="Serve on this address (TALLY_HOST).")


@click.command(epilog=example("tally up --port 9000"))
@_port
@_host
def up(port: int | None, host: str | None) -> None:
    """Serve everything on this machine, PostgreSQL included.

    Makes the ledger, or brings its schema up to date. Stop it with Ctrl-C.
    """
    from tally.cli.up import up as run
    from tally.services.server import StartError

    with explained():
        settings = _settings(port, host)
        try:
            run(settings)
        except StartError as error:
            raise Refused(str(error)) from error


@click.command(epilog=example("TALLY_DATABASE_URL=postgresql://... tally serve adder"))
@click.argument("service", type=click.Choice(["adder", "display", "reset", "all"]))
@_port
@_host
def serve(service: str, port: int | None, host: str | None) -> None:
    """Serve one service, or all, against TALLY_DATABASE_URL.

    A service's own TALLY_ADDER_DATABASE_URL, TALLY_DISPLAY_DATABASE_URL or
    TALLY_RESET_DATABASE_URL comes first.
    """
    from tally.embedded.accounts import drop_root
    from tally.services.server import NAMES, StartError
    from tally.services.server import serve as run

    with explained():
        settings = _settings(port, host)
        names = NAMES if service == "all" else (service,)
        urls = {name: url for name in names if (url := settings.database_url_of(name))}
        for name in names:
            if name not in urls:
                raise Unusable(
                    f"TALLY_DATABASE_URL must be set, or TALLY_{name.upper()}_DATABASE_URL;"
                    " `tally up` brings its own database"
                )
        try:
            run(
                urls,
                settings,
                listening=drop_root,
                ready=lambda at: note(f"Tally is at {at}"),
            )
        except StartError as error:
            raise Refused(str(error)) from error


@click.command(epilog=example("tally health display"))
@click.argument("service", type=click.Choice(["adder", "display", "reset"]))
def health(service: str) -> None:
    """Ask the service at TALLY_HOST and TALLY_PORT whether it answers; exit status 1 if not."""
    from tally.services.health import NotHealthy, check

    try:
        settings = read_settings()
        check(service, settings.host, settings.port)
    except InvalidSetting as error:
        raise Unusable(str(error)) from error
    except NotHealthy as error:
        raise Refused(str(error)) from error


def _settings(port: int | None, host: str | None) -> Settings:
    settings = read_settings()
    return replace(
        settings,
        port=settings.port if port is None else port,
        host=settings.host if host is None else host,
    )
