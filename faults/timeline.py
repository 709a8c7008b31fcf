"""What the final ledger says happened, in order, and when each state can have been current.

The model, from the meaning of the tables and without the ledger's own code: a state is (newest id,
sum, count, cleared through). At first all are 0.

- An entry adds its value to the sum and 1 to the count, and is the newest id.
- A reset happens right after the entry `cleared_through`. It makes sum and count 0, and all up to
  the newest id is cleared.
- An undo happens right after the entry `undone_after`. It adds to sum and count what its reset
  took away, and the line goes back to the reset's `cleared_from`. Only the newest reset not yet
  undone can be undone, so what was added since is what the sum was before the undo.

An entry's `sum_after` is the sum of the state that the entry made, and no undo changes it.

All changes lock the same row, so each state was current from its change to the next one. A client
knows two things of a change: it came after its request was sent, and before its answer came.
"""

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from decimal import Context, Decimal, Inexact, InvalidOperation
from itertools import accumulate
from math import inf
from typing import Any, Final

from faults.history import Attempt, FinalState, Kind

# Far more digits than any sum has, and an error rather than rounding.
_EXACT: Final = Context(prec=100, traps=[Inexact, InvalidOperation])
_PLAIN: Final = re.compile(r"[+-]?(\d+(\.\d+)?|\.\d+)", re.ASCII)

CREATED: Final = 201
UNAVAILABLE: Final = 503


def amount(text: object) -> Decimal:
    """Read an amount exactly. Raises `ValueError` for all but a plain decimal as text."""
    if not isinstance(text, str) or not _PLAIN.fullmatch(text):
        raise ValueError(f"not an amount: {text!r}")
    return Decimal(text)


def add(one: Decimal, other: Decimal) -> Decimal:
    """Add exactly."""
    return _EXACT.add(one, other)


@dataclass(slots=True)
class Request:
    """What a client asked for once, with all its attempts: those of one key, or the only one."""

    key: str | None
    values: tuple[Decimal, ...]
    attempts: list[Attempt] = field(default_factory=list)

    @property
    def sent(self) -> float:
        """When the first attempt was sent."""
        return min(attempt.sent for attempt in self.attempts)

    @property
    def acknowledged(self) -> list[Attempt]:
        """The attempts that were answered with success, in the order of their answers."""
        return [attempt for attempt in self.attempts if attempt.status == CREATED]

    @property
    def done(self) -> float:
        """When it was first known to be done; infinity if it never was."""
        return min((attempt.ended for attempt in self.acknowledged), default=inf)

    @property
    def refused(self) -> bool:
        """Whether it is known that no attempt had an effect."""
        return all(known_without_effect(attempt) for attempt in self.attempts)

    def __str__(self) -> str:
        """Name it for people who look for it in the history."""
        shown = ", ".join(map(str, self.values[:3])) + (", ..." if len(self.values) > 3 else "")
        named = f" with key {self.key}" if self.key is not None else ""
        return f"{self.attempts[0].kind} [{shown}]{named} sent at {self.sent:.3f}"


def known_without_effect(attempt: Attempt) -> bool:
    """Tell whether an attempt certainly changed nothing."""
    if attempt.never_sent:
        return True
    if attempt.status is None:
        return False
    if attempt.status == UNAVAILABLE:
        return attempt.answer is not None and attempt.answer.get("outcome") == "not stored"
    return 400 <= attempt.status < 500


def requests(attempts: Iterable[Attempt], kind: Kind) -> list[Request]:
    """Put the attempts of each request together."""
    found: list[Request] = []
    keyed: dict[tuple[str, tuple[str, ...], bool], Request] = {}
    for attempt in attempts:
        if attempt.kind != kind:
            continue
        request = None
        if attempt.key is not None:
            request = keyed.get((attempt.key, attempt.values, attempt.batch))
        if request is None:
            request = Request(attempt.key, tuple(map(amount, attempt.values)))
            found.append(request)
            if attempt.key is not None:
                keyed[attempt.key, attempt.values, attempt.batch] = request
        request.attempts.append(attempt)
    return found


@dataclass(frozen=True, slots=True)
class State:
    """The ledger between two changes."""

    last_id: int
    sum: Decimal
    count: int
    cleared_through: int


class Timeline:
    """All states in order; the first is the empty ledger's. States are named by their index.

    `made_by_entry`, `made_by_reset` and `made_by_undo` give, for an id, the state that followed.
    """

    def __init__(self, final: FinalState) -> None:
        """Replay the ledger. Raises `ValueError` for an amount that is none."""
        self.states = [State(0, Decimal(0), 0, 0)]
        self.made_by_entry: dict[int, int] = {}
        self.made_by_reset: dict[int, int] = {}
        self.made_by_undo: dict[int, int] = {}
        line_moves = _line_moves(final.resets)
        for position, value, _ in [(0, "0", ""), *sorted(final.entries)]:
            if position > 0:
                self._enter(position, amount(value))
            while line_moves and line_moves[-1].position <= position:
                self._move(line_moves.pop())
        while line_moves:
            self._move(line_moves.pop())
        self._started = [-inf] * len(self.states)
        self._done = [inf] * len(self.states)

    def knows(self, state: int, *, sent: float = -inf, done: float = inf) -> None:
        """Note when the request that made this state was sent, and when it was answered."""
        self._started[state] = max(self._started[state], sent)
        self._done[state] = min(self._done[state], done)

    def bounds(self) -> "Bounds":
        """Say, from all that is known, when each state can have been current."""
        return Bounds(self._started, self._done)

    def with_last_id(self, last_id: int) -> range:
        """Name the states that had this newest id."""
        first = 0 if last_id == 0 else self.made_by_entry.get(last_id)
        if first is None:
            return range(0)
        end = first + 1
        while end < len(self.states) and self.states[end].last_id == last_id:
            end += 1
        return range(first, end)

    def _enter(self, entry_id: int, value: Decimal) -> None:
        was = self.states[-1]
        self.made_by_entry[entry_id] = len(self.states)
        self.states.append(State(entry_id, add(was.sum, value), was.count + 1, was.cleared_through))

    def _move(self, move: "_LineMove") -> None:
        was = self.states[-1]
        if move.gives_back:
            self.made_by_undo[move.reset["id"]] = len(self.states)
            self.states.append(
                State(
                    was.last_id,
                    add(was.sum, amount(move.reset["sum"])),
                    was.count + move.reset["count"],
                    move.reset["cleared_from"],
                )
            )
        else:
            self.made_by_reset[move.reset["id"]] = len(self.states)
            self.states.append(State(was.last_id, Decimal(0), 0, was.last_id))


class Bounds:
    """When each state can have been current.

    Not before all changes up to it had been sent, and not after a later one had been answered.
    """

    def __init__(self, started: list[float], done: list[float]) -> None:
        """Take, for each state, when its own change was sent and when it was answered."""
        self._from = list(accumulate(started, max))
        self._over = list(accumulate(reversed([*done, inf]), min))[::-1]

    def during(self, sent: float, ended: float) -> tuple[int, int]:
        """Name the first and the last state that a read within this time can have seen."""
        return (
            bisect_left(self._over, sent, lo=1) - 1,
            bisect_right(self._from, ended) - 1,
        )

    def possible_from(self, state: int) -> float:
        """Say when the last of the requests that made the ledger so was sent."""
        return self._from[state]


@dataclass(frozen=True, slots=True)
class _LineMove:
    position: int
    moment: Any
    gives_back: bool
    reset: dict[str, Any]


def _line_moves(resets: Iterable[dict[str, Any]]) -> list[_LineMove]:
    """List resets and undos, the earliest last. Their times are taken under the lock."""
    return sorted(
        _moves(resets),
        key=lambda move: (move.position, move.moment, move.reset["id"], move.gives_back),
        reverse=True,
    )


def _moves(resets: Iterable[dict[str, Any]]) -> Iterator[_LineMove]:
    for reset in resets:
        yield _LineMove(reset["cleared_through"], reset["at"], False, reset)
        if reset["undone_at"] is not None:
            yield _LineMove(reset["undone_after"], reset["undone_at"], True, reset)
