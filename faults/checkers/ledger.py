"""What the ledger holds in the end: its chain of sums, its resets and their undoing."""

from typing import Any

from faults.checkers.evidence import Evidence, Facts, told_id
from faults.history import Attempt, Command
from faults.timeline import Request, State, Timeline, amount


def chain(evidence: Evidence) -> Facts:
    """Ids have no gap, each sum follows from the one before, and the audit agrees."""
    timeline, final = evidence.timeline, evidence.final
    for expected_id, (entry_id, _, after) in enumerate(sorted(final.entries), start=1):
        state = timeline.states[timeline.made_by_entry[entry_id]]
        if entry_id != expected_id:
            yield f"entry {expected_id} is missing or there twice: {entry_id} is in its place"
        elif amount(after) != state.sum:
            yield f"entry {entry_id} has sum_after {after}, but the sum was {state.sum}"
        else:
            yield None
    row = final.total
    found = State(row["last_id"], amount(row["sum"]), row["count"], row["cleared_through"])
    last = timeline.states[-1]
    yield None if found == last else f"the total is {found}, but entries and resets make {last}"
    for ran in evidence.history.all(Command):
        if ran.name == "audit":
            yield f"the audit ended with {ran.status}: {ran.output}" if ran.status else None


def resets(evidence: Evidence) -> Facts:
    """A reset answers and clears the running total, and undoing it gives back just that."""
    rows = {row["id"]: row for row in evidence.final.resets}
    for row in rows.values():
        yield _not_as_it_was(evidence.timeline, row)
    yield from _undone_out_of_turn(evidence.timeline)
    owners: dict[int, Request] = {}
    unknown = 0
    for request in evidence.resets:
        unknown += not request.acknowledged and not request.refused
        for attempt in request.acknowledged:
            if told_id(attempt) == 0:
                yield _not_empty(evidence, request, attempt)
                continue
            yield (
                f"two requests were told of reset {told_id(attempt)}"
                if owners.setdefault(told_id(attempt), request) is not request
                else _not_as_stored(attempt, rows)
            )
    yield from _unasked("reset", len(rows.keys() - owners.keys()), unknown)
    told = set()
    for attempt in evidence.answered("undo"):
        told.add(told_id(attempt))
        undone = rows.get(told_id(attempt), {}).get("undone_at") is not None
        yield _not_as_stored(attempt, rows) if undone else f"{attempt.answer} was not undone"
    yield from _unasked(
        "undo", len(evidence.timeline.made_by_undo.keys() - told), len(evidence.unheard_undos)
    )


def _not_empty(evidence: Evidence, request: Request, attempt: Attempt) -> str | None:
    """A reset with id 0 found nothing to clear."""
    first, last = evidence.bounds.during(request.sent, request.done)
    if attempt.answer.get("count") == 0 and any(
        first <= state <= last for state in evidence.empty_states
    ):
        return None
    return f"reset answered {attempt.answer}, but there was something to clear"


def _not_as_it_was(timeline: Timeline, row: dict[str, Any]) -> str | None:
    made = timeline.made_by_reset[row["id"]]
    was = timeline.states[made - 1]
    found = State(row["cleared_through"], amount(row["sum"]), row["count"], row["cleared_from"])
    if found != was:
        return f"reset {row['id']} says that it cleared {found}, but there was {was}"
    undone = timeline.made_by_undo.get(row["id"])
    if undone is not None and timeline.states[undone].last_id != row["undone_after"]:
        return f"reset {row['id']} was undone after entry {row['undone_after']}, which is not there"
    return None


def _undone_out_of_turn(timeline: Timeline) -> Facts:
    """Only the newest reset not yet undone can be undone."""
    made = [(state, False, number) for number, state in timeline.made_by_reset.items()]
    undone = [(state, True, number) for number, state in timeline.made_by_undo.items()]
    standing: list[int] = []
    for _, gives_back, number in sorted(made + undone):
        if not gives_back:
            standing.append(number)
        elif standing and standing[-1] == number:
            standing.pop()
            yield None
        else:
            yield f"reset {number} was undone while {standing} stood"


def _not_as_stored(attempt: Attempt, rows: dict[int, dict[str, Any]]) -> str | None:
    row = rows.get(told_id(attempt))
    try:
        told = amount(attempt.answer["sum"]), attempt.answer["count"]
    except (KeyError, TypeError, ValueError) as error:
        return f"{attempt.kind} answered {attempt.answer}, against the contract: {error!r}"
    if row is None or told != (amount(row["sum"]), row["count"]):
        return f"{attempt.kind} answered {attempt.answer}, but the ledger has {row}"
    return None


def _unasked(kind: str, found: int, unknown: int) -> Facts:
    yield (
        None
        if found <= unknown
        else f"{found} were made by {kind} without an answer, but only {unknown} can have been"
    )
