"""Tally's own adder with the ledger replaced by an immediate answer: the most it could reach.

Adds that arrive in one turn of the event loop are answered together in the next, as those of one
commit are: sending and logging then cost what they cost behind the real ledger.
"""

import asyncio
import sys
from collections.abc import Callable, Sequence
from typing import Any

from tally.amount import Amount
from tally.cli import main
from tally.ledger.writer import Added, Key, Writer
from tally.services import adder


class ImmediateWriter(Writer):
    """Answers at once, from memory, as if everything were stored already."""

    def __init__(self, *arguments: Any, **options: Any) -> None:  # noqa: ANN401
        """Take what the adder gives its writer."""
        super().__init__(*arguments, **options)
        self._count = 0
        self._sum = Amount(0)
        self._waiting: list[tuple[Callable[[Added | Exception], None], Added]] = []

    def start(self) -> None:
        """There is nothing to connect to."""

    def submit(
        self,
        values: Sequence[Amount],
        key: Key | None,
        finish: Callable[[Added | Exception], None],
    ) -> None:
        """Answer in the next turn."""
        first_id = self._count + 1
        self._count += len(values)
        self._sum = Amount(self._sum + sum(values))
        if not self._waiting:
            asyncio.get_running_loop().call_soon(self._answer_all)
        self._waiting.append((finish, Added(first_id, self._count, self._sum, self._count)))

    def _answer_all(self) -> None:
        waiting, self._waiting = self._waiting, []
        for finish, added in waiting:
            finish(added)


if __name__ == "__main__":
    adder.Writer = ImmediateWriter  # type: ignore[attr-defined]
    sys.argv = ["tally", "serve", "adder", "--port", sys.argv[1]]
    main()
