"""What `tally add` says: what it did, would do, or did not come to do."""

from typing import TYPE_CHECKING

from tally.cli.errors import NotAvailable, Refused
from tally.cli.options import print_result

if TYPE_CHECKING:
    from datetime import datetime

    from tally.ledger.database import Unavailable
    from tally.ledger.importer import Counted, Imported, Stopped
    from tally.ledger.reader import Total

    Known = tuple[Counted, datetime | None]
    """What was counted before, and when the newest of it was."""
    Now = tuple[datetime | None, Total | None]
    """When the newest of what was counted before was, and the total as it is now."""


def foretell(count: int, total: int, known: "Known | None", *, as_json: bool) -> None:
    """Say what would be added."""
    from tally.amount import Amount, format_amount

    counted, moment = (None, None) if known is None else known
    new = count if counted is None else count - counted.count
    fields = {
        "would_add": new,
        "sum": format_amount(Amount(total - (0 if counted is None else counted.sum))),
        "already_counted": None if counted is None else counted.count,
        "counted_at": in_json(moment),
    }
    said = f"would add {new}, together {fields['sum']}; nothing was added"
    if counted is not None and counted.count:
        said += f"; {counted.count} counted{_on(moment)}"
    print_result(as_json, fields, said)


def tell(done: "Imported", now: "Now", *, as_json: bool) -> None:
    """Say what an import did."""
    from tally.amount import format_amount

    moment, total = now
    fields = {
        "added": done.added.count,
        "already_counted": done.already.count,
        "counted_at": in_json(moment),
        "sum": None if total is None else format_amount(total.sum),
        "count": None if total is None else total.count,
    }
    said = newly(done.added.count, done.added.sum)
    if done.already.count:
        said += f" {values(done.already.count)} counted before."
    if total is not None:
        said += f" Total: {format_amount(total.sum)}"
    print_result(as_json, fields, said if done.added.count else nothing_added(moment, total))


def newly(count: int, total: int) -> str:
    """Say how many values were added, and what they come to."""
    from tally.amount import Amount, format_amount

    together = "" if count == 1 else "together "
    return f"Added {values(count)} ({together}{format_amount(Amount(total))})."


def values(count: int) -> str:
    """Write a number of values."""
    return "1 value" if count == 1 else f"{count} values"


def nothing_added(moment: "datetime | None", total: "Total | None") -> str:
    """Say of what was counted before that it was."""
    return f"counted{_on(moment)}; nothing added; {_total(total)}"


def _total(total: "Total | None") -> str:
    from tally.amount import format_amount

    if total is None:
        return "the database did not say the total"
    return f"the total is now {format_amount(total.sum)}"


def _on(moment: "datetime | None") -> str:
    return " before" if moment is None else f" on {moment:%Y-%m-%d at %H:%M:%S} UTC"


def in_json(moment: "datetime | None") -> str | None:
    """Write a moment as the API does."""
    from tally.representation import in_json as written

    return None if moment is None else str(written({"at": moment})["at"])


def stopped(name: str, error: "Stopped", count: int) -> Refused:
    """Say what became of a file that was not added whole."""
    from tally.ledger.database import Unavailable
    from tally.ledger.writer import KeyReused

    done, reason = error.done.count, error.reason
    if isinstance(reason, KeyReused):
        said = "was counted before, and says something else now"
        return Refused(f"{name}: {said}; {_of(done, count)}; --again LABEL counts it once more")
    if isinstance(reason, Unavailable):
        return NotAvailable(f"{name}: {_why(reason)}; {so_far(error.done, count)}")
    return Refused(f"{name}: {reason}; {_of(done, count)}")


def so_far(done: "Imported", count: int) -> str:
    """Say how much of a file is counted, where some of it may be besides."""
    return (
        f"{done.count} of {count} values are counted for certain; run this again: each counts once"
    )


def _of(done: int, count: int) -> str:
    return f"{done} of {count} values are counted" if done else "nothing was added"


def outcome(error: "Unavailable") -> str:
    """Say why values were not added for certain, and what became of them."""
    if error.keyed:
        became = "it may have been added: run this again, and it counts once"
    elif error.outcome_known:
        became = "nothing was added"
    else:
        became = "it may have been added: look at the total before you run this again"
    return f"{_why(error)}; {became}"


def _why(error: "Unavailable") -> str:
    return f"{error}: {error.detail}" if error.detail else str(error)
