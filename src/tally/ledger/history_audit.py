"""What history is read from, recomputed from entries and resets: moves and stretches."""

from collections.abc import AsyncIterator, Mapping
from datetime import datetime
from typing import Any, Final, NamedTuple

from tally.amount import Amount, format_amount
from tally.ledger.recomputation import Drift

SMALLEST: Final = 256
_FACTOR: Final = 16


def check_moves(
    moves: list[Any], resets: list[Any], first: int, sums_before: Mapping[int, int]
) -> None:
    """Check that each reset and undo after the entry `first` has its move, and its running sum.

    `sums_before` has the sum right after each entry at which there are some.
    """
    events = {
        (reset["id"], undo): (after, sign * reset["sum"], reset["count"])
        for reset in resets
        for undo, after, sign in (
            (False, reset["cleared_through"], -1),
            (True, reset["undone_after"], 1),
        )
        if after is not None and reset["count"] > 0
    }
    running: dict[int, int] = {}
    for move in moves:
        after, name = move["after_id"], f"move {move['id']}"
        event = events.pop((move["reset_id"], move["undo"]), None)
        told = (after, move["value"], move["count"])
        if told != event:
            raise Drift(name, told, event)
        if after >= first:
            running[after] = running.get(after, sums_before[after]) + move["value"]
            if move["sum_after"] != running[after]:
                raise Drift(
                    f"sum_after of {name}", *map(_text, (move["sum_after"], running[after]))
                )
    for (reset_id, undo), event in events.items():
        if event[0] >= first:
            raise Drift(f"the move of reset {reset_id}, undo {undo}", None, event)


def _text(units: int) -> str:
    return format_amount(Amount(units))


class _Step(NamedTuple):
    at: datetime
    after: int
    move: int
    sum: int


class _Stretch(NamedTuple):
    first: _Step
    low: _Step
    high: _Step
    last: _Step

    @classmethod
    def of(cls, row: Any) -> "_Stretch":  # noqa: ANN401
        first, low, high = (
            _Step(*(row[f"{which}_{part}"] for part in ("at", "after", "move", "sum")))
            for which in ("first", "low", "high")
        )
        return cls(first, low, high, _Step(row["last_at"], row["last_id"], 0, row["last_sum"]))


class Stretches:
    """Computes every stretch again from its steps, in their order."""

    def __init__(self, rows: AsyncIterator[Any], moves: list[Any], first: int) -> None:
        """`rows` are those stored, by `last_id` and size; entries come after the one `first`."""
        self._rows = aiter(rows)
        self._moves = iter([move for move in moves if move["after_id"] >= first])
        self._move = next(self._moves, None)
        self._steps: list[_Step] = []
        self._latest: datetime | None = None
        # Of each size the stretches since the last one of the next size.
        self._parts: dict[int, list[_Stretch]] = {}

    async def enter(self, entry_id: int, sum_after: int, at: datetime) -> None:
        """Take the next entry, with the moves that came before it."""
        while self._move is not None and self._move["after_id"] < entry_id:
            move = self._move
            self._steps.append(_Step(move["at"], move["after_id"], move["id"], move["sum_after"]))
            self._move = next(self._moves, None)
        self._steps.append(_Step(at, entry_id, 0, sum_after))
        if entry_id % SMALLEST == 0:
            steps, self._steps = self._steps, []
            # Of the one in which a purge ended nothing is stored.
            if sum(step.move == 0 for step in steps) == SMALLEST:
                await self._complete(entry_id, steps)

    async def close(self) -> None:
        """Check that no other stretches are stored."""
        row = await anext(self._rows, None)
        if row is not None:
            raise Drift("a stretch", (row["size"], row["last_id"]), "none")

    async def _complete(self, last_id: int, steps: list[_Step]) -> None:
        stored = await self._stored(SMALLEST, last_id)
        # Of what came before a purge nothing is known but what the first stretch after it says.
        since = max(self._latest or stored.first.at, steps[0].at)
        self._latest = max(since, *(step.at for step in steps))
        low = min(steps, key=lambda step: step.sum)
        high = max(steps, key=lambda step: step.sum)
        made = _Stretch(
            steps[0]._replace(at=since),
            low._replace(at=max(since, low.at)),
            high._replace(at=max(since, high.at)),
            steps[-1]._replace(at=self._latest),
        )
        _compare(SMALLEST, last_id, stored, made)
        size = SMALLEST
        while True:
            parts = self._parts.setdefault(size, [])
            parts.append(made)
            size *= _FACTOR
            if last_id % size:
                return
            self._parts[size // _FACTOR] = []
            if len(parts) < _FACTOR:
                return
            made = _Stretch(
                parts[0].first,
                min((part.low for part in parts), key=lambda step: step.sum),
                max((part.high for part in parts), key=lambda step: step.sum),
                parts[-1].last,
            )
            _compare(size, last_id, await self._stored(size, last_id), made)

    async def _stored(self, size: int, last_id: int) -> _Stretch:
        row = await anext(self._rows, None)
        found = row and (row["size"], row["last_id"])
        if found != (size, last_id):
            raise Drift("the next stretch", found, (size, last_id))
        return _Stretch.of(row)


def _compare(size: int, last_id: int, stored: _Stretch, made: _Stretch) -> None:
    for which, found, expected in zip(made._fields, stored, made, strict=True):
        if found != expected:
            raise Drift(
                f"the {which} step of the {size} ids through {last_id}",
                *(
                    f"{_text(step.sum)} after {step.after} and move {step.move} at {step.at}"
                    for step in (found, expected)
                ),
            )
