"""Adds: what clients were told of them, and what the ledger holds."""

from dataclasses import dataclass
from typing import Any

from faults.checkers.evidence import Evidence, Facts
from faults.history import Attempt
from faults.timeline import CREATED, UNAVAILABLE, Request, amount, known_without_effect


@dataclass(frozen=True, slots=True)
class Added:
    """What the answer to an add says."""

    first_id: int
    last_id: int
    sum: Any
    count: int


def durable_once(evidence: Evidence) -> Facts:
    """An acknowledged add is in the ledger exactly once, with the ids and sums answered."""
    for request in evidence.adds:
        if request.acknowledged:
            yield _not_as_answered(evidence, request)


def _not_as_answered(evidence: Evidence, request: Request) -> str | None:
    try:
        answer = _added(request.acknowledged[0], request)
    except (KeyError, TypeError, ValueError) as error:
        return f"{request} was answered against the contract: {error!r}"
    found = evidence.ids(request)
    for value, ids in zip(request.values, found, strict=True):
        if not ids:
            return f"{request} was acknowledged, but {value} is lost"
        if len(ids) > 1:
            return f"{request} was acknowledged, but {value} is there {len(ids)} times: {ids}"
    told = range(answer.first_id, answer.last_id + 1)
    if len(told) != len(found) or any([told[at]] != ids for at, ids in enumerate(found)):
        return f"{request} was told {answer}, but has ids {found}"
    state = evidence.timeline.states[evidence.timeline.made_by_entry[answer.last_id]]
    if (answer.sum, answer.count) != (state.sum, state.count):
        return (
            f"{request} was told sum {answer.sum} and count {answer.count},"
            f" but they were {state.sum} and {state.count}"
        )
    return None


def refused_absent(evidence: Evidence) -> Facts:
    """An add that was refused in every try is not in the ledger."""
    for request in evidence.adds:
        if request.refused:
            ids = evidence.ids(request)
            yield f"{request} was refused, but is there: {ids}" if any(ids) else None


def told_of_keys(evidence: Evidence) -> Facts:
    """Of a key that was told that nothing is stored, no earlier try had stored or still did."""
    for request in evidence.adds:
        for attempt in request.attempts if request.key is not None else ():
            if known_without_effect(attempt) and attempt.status == UNAVAILABLE:
                yield _stored_by_an_earlier_try(request, attempt)


def _stored_by_an_earlier_try(request: Request, told: Attempt) -> str | None:
    later = [attempt for attempt in request.acknowledged if attempt.sent >= told.ended]
    first = min(later, key=lambda attempt: attempt.ended, default=None)
    if first is None or not first.replayed:
        return None
    others = [one for one in request.attempts if one is not first and one.sent < first.ended]
    if any(one.sent >= told.ended for one in others):
        return None
    return f"{request} was told {told.answer} at {told.ended:.3f}, but an earlier try was stored"


def unknown_once(evidence: Evidence) -> Facts:
    """An add that nobody was told of is there once or not at all, and a batch as a whole."""
    for request in evidence.adds:
        if request.refused or request.acknowledged:
            continue
        found = evidence.ids(request)
        if not any(found):
            yield None
            continue
        first_id = next(ids[0] for ids in found if ids)
        whole = [[entry_id] for entry_id in range(first_id, first_id + len(found))]
        yield None if found == whole else f"{request} is there neither once nor not at all: {found}"


def keys_settle(evidence: Evidence) -> Facts:
    """An add with a key that nobody was told of is settled by sending it again with its key."""
    for request in evidence.adds:
        unheard = any(
            attempt.status != CREATED and not known_without_effect(attempt)
            for attempt in request.attempts
        )
        if request.key is not None and unheard:
            yield None if request.acknowledged else f"{request} was never answered"


def nothing_else(evidence: Evidence) -> Facts:
    """Every entry of the ledger was sent by a client."""
    for entry_id, value, _ in evidence.final.entries:
        known = amount(value) in evidence.senders
        yield None if known else f"entry {entry_id} holds {value}, which no client sent"


def in_order(evidence: Evidence) -> Facts:
    """What was acknowledged before an add was sent comes before it in the ledger."""
    for request in evidence.adds:
        if not request.acknowledged:
            continue
        for entry_id in evidence.entry_ids.get(request.values[-1], ()):
            state = evidence.timeline.made_by_entry[entry_id]
            after = evidence.bounds.possible_from(state)
            yield (
                None
                if after <= request.done
                else f"{request} is entry {entry_id} and was acknowledged at {request.done:.3f},"
                f" but something before it was sent only at {after:.3f}"
            )


def _added(attempt: Attempt, request: Request) -> Added:
    """Read the answer to an add. Raises `KeyError`, `TypeError` or `ValueError`."""
    answer = attempt.answer
    if attempt.batch:
        ids = answer["first_id"], answer["last_id"]
    else:
        ids = answer["id"], answer["id"]
        if amount(answer["value"]) != request.values[0]:
            raise ValueError(f"another value: {answer['value']}")
    return Added(*ids, amount(answer["sum"]), answer["count"])
