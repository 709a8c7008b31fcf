"""What the total is and how it came about: `tally total`, `entries`, `resets` and `watch`."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final

import click

from tally.cli.ledger import on_ledger
from tally.cli.options import example, json_option, print_result, tell_age
from tally.cli.streams import note

if TYPE_CHECKING:
    from datetime import datetime

    from tally.ledger.database import Database
    from tally.ledger.history import History
    from tally.ledger.listing import Move
    from tally.ledger.reader import Page, Reader, Total
    from tally.ledger.resets import Reset

# Seconds between two looks: as often as an event stream sends a total.
_LOOK_EVERY: Final = 0.25

_limit = click.option(
    "--limit", type=click.IntRange(1, 1000), default=20, show_default=True, help="At most so many."
)
_before = click.option("--before", metavar="ID", type=click.IntRange(min=1), help="Older than it.")


def _time(
    context: click.Context, parameter: click.Parameter, text: str | None
) -> "datetime | None":
    """Read a time as the services do."""
    from tally.services.times import read_time
    from tally.web.problem import Problem

    try:
        return None if text is None else read_time({"at": text}, "at")
    except Problem as problem:
        raise click.BadParameter(str(problem.detail)) from problem


@click.command(epilog=example("tally total\n  tally total --at 2026-11-28T06:00:00Z"))
@click.option("--at", metavar="TIME", callback=_time, help="The total that there was then.")
@json_option
def total(at: "datetime | None", as_json: bool) -> None:
    """Print the total, and of how many values it is; or what it was at a time."""
    from tally import representation
    from tally.ledger.reader import Reader

    if at is not None:
        _print_earlier(at, as_json=as_json)
        return

    async def work(database: "Database") -> "Total":
        return await Reader(database).total()

    found = on_ledger(work)
    tell_age(found.behind)
    print_result(as_json, representation.total(found), _said(found))


def _print_earlier(at: "datetime", *, as_json: bool) -> None:
    """Print the total at a time, and the newest entry of then, cleared or not."""
    from tally.amount import format_amount
    from tally.ledger.history import FAR_AHEAD, MICROSECOND
    from tally.ledger.reader import Range, Reader

    # What begins right after the time begins with the last step until then.
    after = min(at, FAR_AHEAD) + MICROSECOND

    async def work(database: "Database") -> "tuple[Total, History, list[Move]]":
        return await Reader(database).history(Range(since=after, until=after))

    now, history, _ = on_ledger(work)
    tell_age(now.behind)
    last = history.start
    fields = {
        "sum": format_amount(last.sum if last else history.before),
        "last_id": last.id if last else 0,
    }
    print_result(as_json, fields, f"{fields['sum']} (through entry {fields['last_id']})")


@click.command(epilog=example("tally entries --limit 5\n  tally entries --before 120 --json"))
@_limit
@_before
@json_option
def entries(limit: int, before: int | None, as_json: bool) -> None:
    """List the current values, newest first, each with the total right after it."""
    from tally import representation
    from tally.amount import format_amount
    from tally.ledger.reader import Reader

    async def work(database: "Database") -> "Page":
        return await Reader(database).page(before, limit)

    found = on_ledger(work)
    tell_age(found.behind)
    rows = [
        (str(it.id), _at(it.added_at), format_amount(it.value), format_amount(it.sum_after))
        for it in found.entries
    ]
    shown = _table(("id", "added at (UTC)", "value", "total after"), rows)
    print_result(as_json, representation.page(found), shown if rows else "no entries")


@click.command(epilog=example("tally resets"))
@_limit
@_before
@json_option
def resets(limit: int, before: int | None, as_json: bool) -> None:
    """List the resets, newest first: what each cleared, and whether it was undone."""
    from tally import representation
    from tally.amount import format_amount
    from tally.ledger.resets import Resets

    async def work(database: "Database") -> "list[Reset]":
        return await Resets(database).past(before, limit)

    found = on_ledger(work)
    rows = [
        (
            *(str(it.id), _at(it.at), format_amount(it.sum), str(it.count)),
            "" if it.undone_at is None else _at(it.undone_at),
        )
        for it in found
    ]
    shown = _table(("id", "at (UTC)", "cleared", "entries", "undone at (UTC)"), rows)
    fields = {"resets": [representation.in_json(representation.reset(it)) for it in found]}
    print_result(as_json, fields, shown if rows else "no resets")


@click.command(epilog=example("tally watch --json"))
@json_option
def watch(as_json: bool) -> None:
    """Print the total whenever it changes, until Ctrl-C. With --json, an object a line.

    While the database is away it waits, and goes on when it is back.
    """
    from tally.ledger.reader import Reader

    on_ledger(lambda database: _watch(Reader(database), as_json=as_json))


async def _watch(reader: "Reader", *, as_json: bool) -> None:
    import asyncio
    from dataclasses import replace

    from tally import representation
    from tally.ledger.failures import Unavailable

    shown = None
    away = False
    while True:
        try:
            found = await reader.total()
        except Unavailable as error:
            if not away:
                note(f"{error}: waiting for it")
            away = True
        else:
            away = False
            # The age of what a standby says is no news.
            if replace(found, behind=None) != shown:
                shown = replace(found, behind=None)
                if not print_result(as_json, representation.total(found), _said(found)):
                    return
        await asyncio.sleep(_LOOK_EVERY)


def _said(found: "Total") -> str:
    from tally.amount import format_amount

    of = "1 entry" if found.count == 1 else f"{found.count} entries"
    return f"{format_amount(found.sum)} ({of})"


def _at(moment: "datetime") -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S}"


def _table(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(titles, *rows, strict=True)]

    def lines() -> Iterator[str]:
        for row in (titles, *rows):
            cells = (text.rjust(width) for text, width in zip(row, widths, strict=True))
            yield "  ".join(cells).rstrip()

    return "\n".join(lines())
