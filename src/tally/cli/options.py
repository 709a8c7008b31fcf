"""What commands share: options, examples, questions, progress, and how they print."""

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from math import ceil
from typing import Any, TextIO, TypeVar, cast

import click

from tally.cli.errors import Refused, Unusable
from tally.cli.streams import Lossy, note, printed

FC = TypeVar("FC", bound=Callable[..., Any])

json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
yes_option = click.option("--yes", is_flag=True, help="Do not ask.")


def _visible(context: click.Context, parameter: click.Parameter, key: str | None) -> str | None:
    """Take a key as the services take the header of that name."""
    from tally.web.request import MAX_KEY, is_key

    if key is not None and not is_key(key):
        raise click.BadParameter(f"must have 1 to {MAX_KEY} visible ASCII characters")
    return key


def key_option(text: str) -> Callable[[FC], FC]:
    """Make the option of an idempotency key."""
    return click.option("--key", callback=_visible, help=text)


def example(text: str) -> str:
    """Lay out a command's example for its help."""
    return f"\b\nExample:\n  {text}"


def print_result(as_json: bool, fields: Mapping[str, object], text: str) -> bool:
    """Print the fields as JSON, or the text; tell whether anybody still reads it."""
    import msgspec

    return printed(click.echo, msgspec.json.encode(fields).decode() if as_json else text)


def tell_age(behind: float | None) -> None:
    """Say how old what was read from a standby may be; nothing of what was not."""
    if behind is not None:
        note(f"read from a standby, up to {ceil(behind)} s behind")


def confirm(yes: bool, question: str) -> None:
    """Ask, unless `yes`; where there is no terminal to ask on, refuse."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise Unusable("this changes the ledger and nobody can be asked: add --yes")
    try:
        answered = click.confirm(question, err=True)
    except click.Abort as abort:
        if isinstance(abort.__context__, KeyboardInterrupt):
            raise
        answered = False  # the end of what is typed
    if not answered:
        raise Refused("nothing was changed")


@contextmanager
def progress_bar(label: str) -> Iterator[Callable[[int, int], None]]:
    """Show a bar on a terminal; the function given takes how much is done, and of how much."""
    # Around the escaping: the bar draws with control sequences of its own.
    shown = cast("TextIO", Lossy(sys.__stderr__ or sys.stderr))
    hidden = not shown.isatty()
    with click.progressbar(length=1, label=label, file=shown, hidden=hidden) as bar:

        def progress(done: int, total: int) -> None:
            bar.length = max(total, 1)
            bar.update(done - bar.pos)

        yield progress
