"""What all checkers look things up in: a history, its requests, and the states of the ledger."""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterator
from functools import cached_property
from math import inf
from typing import Any, Final

from faults.history import Attempt, Fault, History, Leader
from faults.timeline import Bounds, Request, Timeline, amount, known_without_effect, requests

OK: Final = 200
# What a standby showed so long before a fault was on its way still when the leader was lost.
_REPLICATION_SECONDS: Final = 1.0
# A standby rounds its age, and took it before we had the answer.
_CLOCK_SECONDS: Final = 0.05

# For each fact that a checker looked at: None, or what is wrong.
Facts = Iterator[str | None]


class Evidence:
    """A history, indexed for the checkers."""

    def __init__(self, history: History) -> None:
        """Index it. Raises `ValueError` where a value was sent by two requests."""
        self.history = history
        self.final = history.final
        self.timeline = Timeline(self.final)
        self.adds = requests(history.attempts(), "add")
        self.resets = requests(history.attempts(), "reset")
        self.entry_ids: dict[Any, list[int]] = defaultdict(list)
        for entry_id, text, _ in self.final.entries:
            self.entry_ids[amount(text)].append(entry_id)
        self.senders: dict[Any, Request] = {}
        for request in self.adds:
            for value in request.values:
                if self.senders.setdefault(value, request) is not request:
                    raise ValueError(f"{value} was sent by two requests: they can't be told apart")

    def ids(self, request: Request) -> list[list[int]]:
        """Look up, for each value of an add, the entries that hold it."""
        return [self.entry_ids.get(value, []) for value in request.values]

    @cached_property
    def bounds(self) -> Bounds:
        """When each state can have been current, from all that was answered."""
        for request in self.adds:
            for ids in self.ids(request):
                for entry_id in ids:
                    state = self.timeline.made_by_entry[entry_id]
                    self.timeline.knows(state, sent=request.sent, done=request.done)
        reset_sent: dict[Any, float] = {}
        for request in self.resets:
            for attempt in request.acknowledged:
                reset_sent[told_id(attempt)] = request.sent
                made = self.timeline.made_by_reset.get(told_id(attempt))
                if made is not None:
                    self.timeline.knows(made, sent=request.sent, done=request.done)
        told: dict[Any, list[Attempt]] = defaultdict(list)
        for attempt in self.answered("undo"):
            told[told_id(attempt)].append(attempt)
        unheard = sorted(attempt.sent for attempt in self.unheard_undos)
        for number, state in self.timeline.made_by_undo.items():
            # An earlier try without an answer may have done it, but none before the reset.
            earlier = bisect_left(unheard, reset_sent.get(number, -inf))
            sent = [attempt.sent for attempt in told[number]] + unheard[earlier : earlier + 1]
            done = [attempt.ended for attempt in told[number]]
            self.timeline.knows(state, sent=min(sent, default=-inf), done=min(done, default=inf))
        return self.timeline.bounds()

    @cached_property
    def failovers(self) -> list[tuple[float, float]]:
        """When a leader may have been followed by another, with all that it had not replicated.

        From the fault until the cluster is whole: a leader that was replaced can go on answering
        reads, and what it or a standby showed meanwhile may have been undone by the failover.
        """
        promotions = [leader.at for leader in self.history.all(Leader)]
        return [
            (fault.began - _REPLICATION_SECONDS, fault.whole)
            for fault in self.history.all(Fault)
            if fault.whole is not None
            and any(fault.began <= moment <= fault.whole for moment in promotions)
        ]

    def may_be_undone(self, attempt: Attempt) -> bool:
        """Tell whether a read may have seen what a failover undid."""
        return any(
            attempt.ended >= began and attempt.sent <= whole for began, whole in self.failovers
        )

    def seen(self, attempt: Attempt) -> tuple[int, int]:
        """Name the first and last state that a read can have seen, by its age and by failovers."""
        return self.bounds.during(self.current_from(attempt), attempt.ended)

    def current_from(self, attempt: Attempt) -> float:
        """Say since when a read may have been out of date."""
        behind = attempt.answer.get("behind_seconds") if attempt.answer else None
        since = attempt.sent
        if isinstance(behind, int | float):
            since -= behind + _CLOCK_SECONDS
        overlapping = (
            began for began, whole in self.failovers if attempt.ended >= began and since <= whole
        )
        return min((since, *overlapping))

    @cached_property
    def unheard_undos(self) -> list[Attempt]:
        """The undos of which nobody knows whether they had an effect."""
        return [
            attempt
            for attempt in self.history.attempts()
            if attempt.kind == "undo" and attempt.status != OK and not known_without_effect(attempt)
        ]

    @cached_property
    def empty_states(self) -> list[int]:
        """The states without current entries."""
        return [at for at, state in enumerate(self.timeline.states) if state.count == 0]

    @cached_property
    def inside_a_batch(self) -> set[int]:
        """The ids after which entries of the same request follow."""
        return {
            entry_id for request in self.adds for ids in self.ids(request)[:-1] for entry_id in ids
        }

    def answered(self, kind: str) -> Iterator[Attempt]:
        """Go through the reads or undos that were answered with success."""
        return (
            attempt
            for attempt in self.history.attempts()
            if attempt.kind == kind and attempt.status == OK and attempt.answer is not None
        )


def told_id(attempt: Attempt) -> Any:  # noqa: ANN401 - what an answer says is not checked yet
    """The id that an answer names."""
    return None if attempt.answer is None else attempt.answer.get("id")
