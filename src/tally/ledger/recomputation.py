"""What every total must be, recomputed from the entries, and the first difference from it."""

from collections import defaultdict
from collections.abc import AsyncIterator
from itertools import pairwise
from typing import Any

from tally.amount import Amount, format_amount


class Drift(Exception):
    """Ends an audit at the first difference, which the message tells in one line."""

    def __init__(self, what: str, found: object, expected: object) -> None:
        super().__init__(f"{what} is {found}, but must be {expected}")


class Recomputation:
    """Computes every total again, from the entries and the bounds of the resets alone."""

    def __init__(self, total: Any, resets: list[Any]) -> None:  # noqa: ANN401
        self._total = total
        self._resets = resets
        self._first = total["purged_through"]
        self._id = self._first
        self._changes = _changes(resets)
        self._boundaries = {total["cleared_through"], *self._changes} | {
            reset["cleared_from"] for reset in resets
        }
        # The sum of all values so far, whatever was cleared, and what it was at each boundary.
        self._values = 0
        self._values_at: dict[int, int] = {}
        # What the sum was right after each entry after which resets or undos came.
        self.sums_before: dict[int, int] = {}
        self._sum = total["purged_sum"]
        self._count = self._first + sum(
            change for at, (_, change) in self._changes.items() if at < self._first
        )
        # What the sender of the newest entry was told, before anything else came.
        self.count_after = self._count
        self._pass_boundary()

    @property
    def checked(self) -> int:
        return int(self._id - self._first)

    def enter(self, entry_id: int, value: int, sum_after: int) -> None:
        """Check the next entry against all before it."""
        if entry_id != self._id + 1:
            raise Drift(f"the id of the entry after {self._id}", entry_id, self._id + 1)
        self._values += value
        self._sum += value
        self._count += 1
        self.count_after = self._count
        if sum_after != self._sum:
            raise Drift(f"sum_after of entry {entry_id}", _text(sum_after), _text(self._sum))
        self._id = entry_id
        if entry_id in self._boundaries:
            self._pass_boundary()

    def close(self) -> None:
        """Check the totals that the ledger holds against those that were recomputed."""
        total = self._total
        if self._id != total["last_id"]:
            raise Drift("the total's last_id", total["last_id"], self._id)
        for reset in self._resets:
            if reset["cleared_from"] >= self._first:
                self._check_sum(f"sum of reset {reset['id']}", reset)
        if self._sum != total["sum"]:
            raise Drift("the total's sum", _text(total["sum"]), _text(self._sum))
        current = self._values - self._values_at[total["cleared_through"]]
        if current != total["sum"]:
            raise Drift("the total's sum", _text(total["sum"]), _text(current))
        if self._count != total["count"]:
            raise Drift("the total's count", total["count"], self._count)

    def _pass_boundary(self) -> None:
        """Apply the resets and undos that came between this entry and the next."""
        self._values_at[self._id] = self._values
        self.sums_before[self._id] = self._sum
        sum_change, count_change = self._changes.get(self._id, (0, 0))
        self._sum += sum_change
        self._count += count_change

    def _check_sum(self, what: str, reset: Any) -> None:  # noqa: ANN401
        cleared = self._values_at[reset["cleared_through"]] - self._values_at[reset["cleared_from"]]
        if reset["sum"] != cleared:
            raise Drift(what, _text(reset["sum"]), _text(cleared))


class Answers:
    """The answers to requests with keys, in the order of the entries they tell of."""

    def __init__(self, rows: AsyncIterator[Any], total: Any) -> None:  # noqa: ANN401
        self._rows = aiter(rows)
        self._newest = total["last_id"]
        self._row: Any = None
        self._told_through = 0
        self._batch_from = 1
        # Of the answer that comes next; 0 after the last one.
        self.last_id = 0

    async def advance(self) -> None:
        self._row = await anext(self._rows, None)
        if self._row is None:
            self.last_id = 0
            return
        first, last = self._row["first_id"], self._row["last_id"]
        if not 1 <= first <= last <= self._newest:
            raise Drift(
                "the range of ids of a kept answer", f"{first} to {last}", f"in 1 to {self._newest}"
            )
        if first <= self._told_through:
            raise Drift(
                f"the first id of the kept answer for entry {last}",
                first,
                f"above {self._told_through}, which another answer tells of",
            )
        self._told_through = self.last_id = last

    def begin_batch(self, first_id: int) -> None:
        """Note that another batch begins: no answer tells of entries of two."""
        self._batch_from = first_id

    async def skip_through(self, entry_id: int) -> None:
        while 0 < self.last_id <= entry_id:
            await self.advance()

    async def compare(self, sum_after: int, count: int) -> None:
        """Check the answer that told of this entry."""
        what = f"of the kept answer for entry {self.last_id}"
        if self._row["first_id"] < self._batch_from:
            raise Drift(
                f"the first id {what}",
                self._row["first_id"],
                f"at least {self._batch_from}, where its batch begins",
            )
        if self._row["sum"] != sum_after:
            raise Drift(f"the sum {what}", _text(self._row["sum"]), _text(sum_after))
        if self._row["count"] != count:
            raise Drift(f"the count {what}", self._row["count"], count)
        await self.advance()


def check_correction(mismatch: Any) -> None:  # noqa: ANN401
    """Raise for a correction whose entries are not each other's opposite, if there is one."""
    if mismatch is None:
        return
    if mismatch["undo"] not in (None, mismatch["value"]):
        raise Drift(
            f"the value kept of entry {mismatch['undone_by']}",
            _text(mismatch["value"]),
            _text(mismatch["undo"]),
        )
    raise Drift(
        f"the value of entry {mismatch['undone_by']}, which undoes entry {mismatch['entry_id']},",
        _text(mismatch["value"]),
        _text(-mismatch["undone"]),
    )


def check_resets(total: Any, resets: list[Any]) -> None:  # noqa: ANN401
    """Check that resets follow each other, and that those not undone clear what is cleared."""
    for number, reset in enumerate(resets, start=1):
        if reset["id"] != number:
            raise Drift(f"the id of reset number {number}", reset["id"], number)
        _check_bounds(reset, total["last_id"])
    for before, after in pairwise(resets):
        if after["cleared_through"] < before["cleared_through"]:
            raise Drift(
                f"cleared_through of reset {after['id']}",
                after["cleared_through"],
                f"at least {before['cleared_through']}",
            )
    cleared_through = 0
    for reset in resets:
        if reset["undone_after"] is None:
            if reset["cleared_from"] != cleared_through:
                raise Drift(
                    f"cleared_from of reset {reset['id']}", reset["cleared_from"], cleared_through
                )
            cleared_through = reset["cleared_through"]
    if total["cleared_through"] != cleared_through:
        raise Drift("the total's cleared_through", total["cleared_through"], cleared_through)


def _check_bounds(reset: Any, last_id: int) -> None:  # noqa: ANN401
    first, last = reset["cleared_from"], reset["cleared_through"]
    if not 0 <= first <= last <= last_id:
        raise Drift(f"what reset {reset['id']} cleared", f"({first}, {last}]", f"in 1 to {last_id}")
    if reset["count"] != last - first:
        raise Drift(f"count of reset {reset['id']}", reset["count"], last - first)
    undone_after = reset["undone_after"]
    if undone_after is not None and not last <= undone_after <= last_id:
        raise Drift(f"undone_after of reset {reset['id']}", undone_after, f"in {last} to {last_id}")


def _changes(resets: list[Any]) -> dict[int, tuple[int, int]]:
    """What resets and undos did to sum and count, by the entry right after which they did it."""
    sums: dict[int, int] = defaultdict(int)
    counts: dict[int, int] = defaultdict(int)
    for reset in resets:
        for at, sign in ((reset["cleared_through"], -1), (reset["undone_after"], 1)):
            if at is not None:
                sums[at] += sign * reset["sum"]
                counts[at] += sign * reset["count"]
    return {at: (sums[at], counts[at]) for at in sums}


def _text(units: int) -> str:
    return format_amount(Amount(units))
