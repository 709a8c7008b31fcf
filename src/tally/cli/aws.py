"""AWS: `tally preflight` before a deployment, `tally check` of one."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from tally.cli.errors import NotAvailable, Refused, Unusable
from tally.cli.options import example, json_option
from tally.cli.streams import note


@contextmanager
def _aws() -> Iterator[None]:
    """Explain an installation that lacks what speaks to AWS."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise Unusable(
            "what speaks to AWS is not in this installation: in a checkout of Tally,"
            " run pip install '.[aws]', then this again"
        ) from error


@click.command(epilog=example("tally preflight --repository example/tally --html preflight.html"))
@click.option("--name", default="tally", show_default=True, help="The deployment's name.")
@click.option(
    "--profile",
    type=click.Choice(["production", "small"]),
    default="production",
    show_default=True,
    help="The deployment's size.",
)
@click.option("--repository", metavar="OWNER/NAME", help="The repository whose workflows deploy.")
@click.option(
    "--environment", default="production", show_default=True, help="Its protected environment."
)
@click.option("--html", type=click.File("w", lazy=True), help="Also write a self-contained page.")
@json_option
def preflight(
    name: str,
    profile: str,
    repository: str | None,
    environment: str,
    html: Any,  # noqa: ANN401
    as_json: bool,
) -> None:
    """Say what would go wrong with a first apply, before it costs anything. Only reads.

    Exit status 1 if anything stands in the way, 3 if AWS can't be reached.
    """
    import shutil

    with _aws():
        from botocore.exceptions import BotoCoreError, ClientError

        from tally.aws.inventory import Inventory
        from tally.aws.preflight import ask_github, look, report, run
        from tally.aws.preflight.finding import Situation, Status

    if repository is not None and not re.fullmatch(r"[A-Za-z0-9-]+/[A-Za-z0-9._-]+", repository):
        raise click.BadParameter("must be OWNER/NAME", param_hint="--repository")
    situation = Situation(Inventory(name), profile, repository, environment, ask_github, run)
    try:
        note(f"Looking at account {situation.aws.id}")
        findings = list(look(situation))
    except (BotoCoreError, ClientError) as error:
        raise NotAvailable(f"can't reach AWS: {error}") from error
    if html is not None:
        html.write(report.as_html(situation, findings))
    width = shutil.get_terminal_size((100, 40)).columns
    click.echo(report.as_json(findings).decode() if as_json else report.as_text(findings, width))
    if any(it.status == Status.BAD for it in findings):
        raise click.exceptions.Exit(Refused.exit_code)


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

    with _aws():
        from botocore.exceptions import BotoCoreError, ClientError

        from tally.aws import report as reports
        from tally.aws.check import check as run
        from tally.aws.inventory import Inventory
        from tally.aws.waivers import InvalidWaivers, read_waivers

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
