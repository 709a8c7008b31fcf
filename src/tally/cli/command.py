"""How every command begins and ends: its signals, its streams, its exit status."""

import sys
import traceback
from pathlib import Path
from typing import Any, Final

import click

from tally.cli import signals, streams
from tally.cli.errors import Refused
from tally.settings import unknown_settings

_WHOLE: Final = 1000  # characters: more than any sentence has
_PACKAGE: Final = Path(__file__).parents[1]


class Tally(click.Group):
    """The group of all commands."""

    def main(self, *args: Any, **options: Any) -> Any:  # noqa: ANN401 - as click has it
        """Run a command and exit; what it could not do is one line on stderr."""
        signals.catch()
        try:
            streams.prepare()
            status = super().main(*args, **options | {"standalone_mode": False})
        except click.exceptions.NoArgsIsHelpError as error:
            streams.note(error.format_message())
            status = error.exit_code
        except click.UsageError as error:
            how = f"; see {error.ctx.command_path} --help" if error.ctx else ""
            status = _fail(f"{error.format_message().rstrip('.')}{how}", error.exit_code)
        except click.ClickException as error:
            status = _fail(error.format_message(), error.exit_code)
        except (KeyboardInterrupt, click.Abort):
            signals.end()
        except Exception as error:  # whatever it is, a person gets a line
            status = _fail(_described(error), Refused.exit_code)
        signals.release()
        sys.exit(status)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands, each with its whole first sentence."""
        found = ((name, self.get_command(ctx, name)) for name in self.list_commands(ctx))
        rows = [(name, it.get_short_help_str(limit=_WHOLE)) for name, it in found if it]
        with formatter.section("Commands"):
            formatter.write_dl(rows)

    def invoke(self, ctx: click.Context) -> Any:  # noqa: ANN401 - as click has it
        for line in unknown_settings():
            streams.note(line)
        try:
            return super().invoke(ctx)
        except (KeyboardInterrupt, click.Abort):
            signals.end()


def _fail(message: str, status: int) -> int:
    # One line, whatever a file's name holds.
    line = message.replace("\n", "\\n")
    streams.note(f"tally: {line}")
    return status


def _described(error: Exception) -> str:
    """Say what went wrong where nothing more is known than that; the text may hold a secret."""
    if isinstance(error, OSError) and error.strerror:
        streams.abandon(sys.stdout)
        return ": ".join(str(part) for part in (error.filename, error.strerror) if part)
    frames = traceback.extract_tb(error.__traceback__)
    ours = [it for it in frames if _PACKAGE in Path(it.filename).parents] or frames
    where = f"{Path(ours[-1].filename).name}, line {ours[-1].lineno}"
    return f"a bug in Tally, please report it: {type(error).__name__} in {where}"
