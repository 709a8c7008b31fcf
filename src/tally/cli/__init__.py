"""The `tally` command: a module for each group of commands.

What a command needs is imported when it runs, so that --help answers at once.
"""

import click

from tally import __version__
from tally.cli import aws, backup, maintenance, reading, resets, serving, values
from tally.cli.command import Tally


@click.group(cls=Tally, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="tally")
def main() -> None:
    """A shared running total that can be trusted.

    Commands work on the database of TALLY_DATABASE_URL or, without it, on this machine's own in
    TALLY_DATA_DIR (.tally). There, up, migrate and restore make a ledger; all others need one.

    \b
    Exit status: 0 done, 1 refused, failed or drift found, 2 wrong usage or setting,
    3 no ledger or database there, or it is not available. A command that is
    stopped by a signal ends by that signal: a shell has 130 for Ctrl-C, 143 for SIGTERM.
    """


for command in (
    *(serving.up, serving.serve, serving.health),
    *(values.add, values.export),
    *(reading.total, reading.entries, reading.resets, reading.watch),
    *(resets.reset, resets.undo),
    *(maintenance.migrate, maintenance.audit, maintenance.purge),
    *(backup.backup, backup.restore),
    *(aws.preflight, aws.check),
):
    main.add_command(command)
