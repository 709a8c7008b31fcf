"""The `tally` command: a module for each group of commands.

What a command needs is imported when it runs, so that --help answers at once.
"""

from typing import Any

import click

from tally import __version__, terminal
from tally.cli import aws, maintenance, resets, serving, values


class _Tally(click.Group):
    def main(self, *args: Any, **options: Any) -> Any:  # noqa: ANN401 - as click has it
        """Run the command; nothing that it prints, click's own errors included, is raw."""
        terminal.protect()
        return super().main(*args, **options)


@click.group(cls=_Tally, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="tally")
def main() -> None:
    """A shared running total that can be trusted.

    Commands work on the database of TALLY_DATABASE_URL or, without it, on this machine's own in
    TALLY_DATA_DIR (.tally).

    \b
    Exit status: 0 done, 1 refused or drift found, 2 wrong usage or setting,
    3 database not available.
    """


for command in (
    *(serving.up, serving.serve, serving.health),
    *(values.add, values.export),
    *(resets.reset, resets.undo),
    *(maintenance.migrate, maintenance.audit, maintenance.purge),
    *(aws.preflight, aws.check),
):
    main.add_command(command)
