"""What the rig itself saw of the processes, judged beside what the clients saw."""

from collections.abc import Iterator
from decimal import Decimal

from faults.checkers import Verdict
from faults.history import FinalState, History
from faults.injection import Stopping
from faults.stack import STOP_SECONDS, Service

# 409 and 404 are for an undo whose first try was done, or that came to nothing.
_EXPECTED = {
    "add": {201, 503},
    "total": {200, 503},
    "entries": {200, 503},
    "reset": {201, 503},
    "undo": {200, 404, 409, 503},
    "resets": {200, 503},
}


def examine(
    history: History,
    final: FinalState,
    *,
    strikes: list[str | None],
    services: list[Service],
    stopped: list[Stopping],
    migrations: list[tuple[int, str]],
) -> list[Verdict]:
    """Judge how the processes behaved; `strikes` tells of each fault why it did not strike."""
    return [
        _verdict("strikes", "every fault of the schedule strikes", iter(strikes)),
        _verdict(
            "processes stay",
            "no service ends unless it is killed or asked to",
            (
                None if end.asked else f"{service.name} ended by itself with status {end.status}"
                for service in services
                for end in service.exits
            ),
        ),
        _verdict(
            "graceful stop",
            f"SIGTERM under load: exit status 0 within {STOP_SECONDS:.0f} s, and no add is stored"
            " without an answer",
            _stops(history, final, stopped),
        ),
        _verdict(
            "migrations",
            "two at once both succeed",
            (
                f"exit status {status}: {output}" if status else None
                for status, output in migrations
            ),
        ),
        _verdict(
            "answers",
            "a fault shows as no answer or as 503, never as another error",
            (
                None
                if record.status is None or record.status in _EXPECTED[record.kind]
                else f"{record.kind} at {record.service}: {record.status} {record.answer}"
                for record in history.records()
            ),
        ),
    ]


def _stops(history: History, final: FinalState, stopped: list[Stopping]) -> Iterator[str | None]:
    for stop in stopped:
        if stop.status != 0 or stop.seconds > STOP_SECONDS:
            yield f"{stop.service}: exit status {stop.status} after {stop.seconds:.1f} s"
        else:
            yield None
    stored = {Decimal(value) for _, value, _ in final.entries}
    for record in history.records():
        # With a key a later try may be what stored it, so only adds without one can tell.
        if record.kind != "add" or record.key is not None or record.ended is None:
            continue
        in_flight = any(
            record.service == stop.service
            and record.sent < stop.asked + stop.seconds
            and record.ended >= stop.asked
            for stop in stopped
        )
        if in_flight:
            unanswered = record.status is None and Decimal(record.values[0]) in stored
            yield (
                f"{record.service} stored {record.values} and did not answer"
                if unanswered
                else None
            )


def _verdict(checker: str, promise: str, facts: Iterator[str | None]) -> Verdict:
    seen = list(facts)
    return Verdict(checker, promise, len(seen), tuple(detail for detail in seen if detail))
