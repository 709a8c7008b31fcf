"""AWS: `tally check`."""

from pathlib import Path
from typing import Any

import click

from tally.cli.errors import NotAvailable, Refused, Unusable
from tally.cli.options import example, json_option
from tally.cli.streams import note


@click.command(epilog=example("tally check --html report.html"))
@click.option("--name", default="tally", show_default=True, help="The deployment's name.")
@click.option("--address", metavar="URL", help="The public https address, if not the one found.")
@click.option(
    "--waivers",
    type=click.Path(path_type=Path),
    help="What is knowingly left out (infra/waivers.toml, if it is there).",
)
@click.option("--html", type=click.File("w", lazy=True), help="Also write a self-contained page.")
@click.option("--verbose", is_flag=True, help="Print the evidence of every requirement.")
@json_option
def check(
    name: str,
    address: str | None,
    waivers: Path | None,
    html: Any,  # noqa: ANN401
    verbose: bool,
    as_json: bool,
) -> None:
    """Ask AWS whether what stands there is what was promised, requirement by requirement.

    Exit status 1 if anything required is missing, 3 if AWS can't be reached.
    """
    import shutil

    try:
        from botocore.exceptions import BotoCoreError, ClientError

        from tally.aws import report as reports
        from tally.aws.check import check as run
        from tally.aws.inventory import Inventory
        from tally.aws.waivers import InvalidWaivers, read_waivers
    except ModuleNotFoundError as error:
        raise Unusable(
            "what speaks to AWS is not in this installation: in a checkout of Tally,"
            " run pip install '.[aws]', then `tally check`"
        ) from error

    if address is not None and not address.startswith("https://"):
        raise click.BadParameter("must begin with https://", param_hint="--address")
    chosen = waivers or Path("infra/waivers.toml")
    try:
        known = read_waivers(chosen) if waivers or chosen.exists() else {}
    except InvalidWaivers as error:
        raise Unusable(str(error)) from error
    inventory = Inventory(name, address=address and address.rstrip("/"))
    try:
        report = run(inventory, known, progress=lambda concern: note(f"Looking at: {concern}"))
    except (BotoCoreError, ClientError) as error:
        raise NotAvailable(f"can't reach AWS: {error}") from error
    if html is not None:
        html.write(reports.as_html(report))
    width = shutil.get_terminal_size((100, 40)).columns
    click.echo(
        reports.as_json(report).decode()
        if as_json
        else reports.as_text(report, width, everything=verbose)
    )
    if not report.passed:
        raise click.exceptions.Exit(Refused.exit_code)
