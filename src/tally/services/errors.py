"""What the ledger's errors mean for a client, and the page that shows an error to people."""

from tally import pages
from tally.amount import InvalidAmount
from tally.ledger.corrections import EntryNotUndoable
from tally.ledger.database import SchemaOutdated, Unavailable
from tally.ledger.resets import NotUndoable
from tally.ledger.writer import KeyReused, QueueFull, SumOutOfRange
from tally.services.service import service_of, static_of
from tally.web.problem import RETRY_AFTER, Problem, refused


def problem_of(error: Exception) -> Problem | None:  # noqa: PLR0911 - a table
    """Say what an error of the ledger's means for the client; None for an internal error."""
    match error:
        case InvalidAmount():
            return refused(error.rule, f"value {error}", "value")
        case SumOutOfRange():
            return refused("sum-out-of-range", str(error), "value")
        case KeyReused():
            return refused("idempotency-key-reuse", str(error), "Idempotency-Key")
        case NotUndoable():
            return Problem(409, str(error))
        case EntryNotUndoable(rule="no-such-entry"):
            return Problem(404, str(error), rule=error.rule)
        case EntryNotUndoable():
            return Problem(409, str(error), rule=error.rule)
        case QueueFull():
            return _not_stored("too many requests wait already", keyed=error.keyed)
        case Unavailable(outcome_known=True):
            return _not_stored(str(error), keyed=error.keyed)
        case Unavailable():
            return _unavailable(
                f"{error}; whether the request was stored is not known:"
                " repeat it with the same Idempotency-Key",
                outcome="unknown",
            )
        case SchemaOutdated():
            return _unavailable(str(error))
    return None


def _not_stored(reason: str, *, keyed: bool) -> Problem:
    """Say what this try did; of a repeat that is not all there is to know."""
    if not keyed:
        return _unavailable(f"{reason}; nothing was stored")
    return _unavailable(
        f"{reason}; this try stored nothing, and whether an earlier one with its Idempotency-Key"
        " did is not known: repeat it with the same key",
        outcome="unknown",
    )


def _unavailable(detail: str, outcome: str = "not stored") -> Problem:
    return Problem(503, detail, outcome=outcome, retry_after=RETRY_AFTER)


def error_page(problem: Problem, path: str, request_id: str) -> bytes:
    """Render a problem for people, with the static files of the service that answers."""
    return pages.render(
        "error",
        path=path,
        static=static_of(service_of(path, default="display")),
        status=problem.status,
        title=problem.title,
        detail=problem.sentence,
        request_id=request_id,
        retry_after=problem.retry_after,
    )
