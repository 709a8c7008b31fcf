"""Resets: `tally reset` and `tally undo`."""

from typing import TYPE_CHECKING

import click

from tally.cli.errors import Refused
from tally.cli.ledger import on_ledger
from tally.cli.options import confirm, example, json_option, key_option, print_result, yes_option

if TYPE_CHECKING:
    from tally.ledger.database import Database
    from tally.ledger.reader import Total
    from tally.ledger.resets import Reset


@click.command(epilog=example("tally reset --yes --json"))
@key_option("Reset once, however often this is run.")
@yes_option
@json_option
def reset(key: str | None, yes: bool, as_json: bool) -> None:
    """Clear the total. `tally undo` gives back what was cleared."""
    from tally.amount import format_amount
    from tally.ledger.reader import Reader
    from tally.ledger.resets import Resets

    async def look(database: "Database") -> "Total":
        return await Reader(database).total()

    async def work(database: "Database") -> "tuple[Reset, bool]":
        return await Resets(database).reset(key)

    if not yes:
        now = on_ledger(look)
        confirm(yes, f"Clear {now.count} entries totalling {format_amount(now.sum)}?")
    made, replayed = on_ledger(work)
    fields = {**_fields(made), "replayed": replayed}
    said = f"reset {made.id} cleared {made.count} totalling {fields['sum']}"
    print_result(as_json, fields, said if made.id else "there was nothing to clear")


@click.command(epilog=example("tally undo 3"))
@click.argument("reset_id", metavar="[ID]", type=click.IntRange(min=1), required=False)
@json_option
def undo(reset_id: int | None, as_json: bool) -> None:
    """Give back what a reset cleared: the newest one not yet undone."""
    from tally.ledger.resets import NotUndoable, Resets
    from tally.ledger.writer import SumOutOfRange

    async def work(database: "Database") -> "Reset":
        resets = Resets(database)
        chosen = reset_id
        if chosen is None:
            undoable = [made.id for made in await resets.past() if made.undoable]
            if not undoable:
                raise NotUndoable("there is no reset to undo")
            chosen = undoable[0]
        return await resets.undo(chosen)

    try:
        made = on_ledger(work)
    except (NotUndoable, SumOutOfRange) as error:
        raise Refused(str(error)) from error
    fields = _fields(made)
    print_result(as_json, fields, f"gave back {made.count} entries totalling {fields['sum']}")


def _fields(made: "Reset") -> dict[str, object]:
    from tally import representation

    return representation.in_json(representation.reset(made))
