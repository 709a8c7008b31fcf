"""The `tally` command with a bug, for the checkers to find: `planted.py BUG serve ...`.

Bugs in the ledger's functions need no code here: they are made in the database.
"""

import sys
from dataclasses import replace
from typing import ClassVar

from tally.cli import main
from tally.ledger import writer
from tally.ledger.writer import Writer
from tally.services import adder
from tally.web.request import MAX_BODY, read_body


class AcknowledgesBeforeCommit(Writer):
    """Tells the clients while the batch is in a transaction that is still open."""

    async def _add_batch(self, connection, requests):
        number = self._batch_number
        try:
            async with connection.transaction():
                before = await super()._add_batch(connection, requests)
                if before is not None:
                    writer._answer([(request, request.claim()) for request in requests], before)
        except Exception:
            self._batch_number = number
            raise
        return before


class RetriesBlindly(Writer):
    """Takes every batch whose connection was lost for one that was not committed."""

    async def _outcome(self):
        return None


class ForgetsKeysOfBatches(Writer):
    """Keeps no answer to a request that has several values."""

    async def _add_batch(self, connection, requests):
        without = [
            replace(request, key=None) if len(request.values) > 1 else request
            for request in requests
        ]
        return await super()._add_batch(connection, without)


async def reserves_too_much(request):
    """Takes eight times the memory of the greatest body for each that it reads."""
    reserved = b" " * (8 * MAX_BODY)
    body = await read_body(request)
    del reserved
    return body


class ReconnectsWithoutLimit(Writer):
    """Opens the next connection and leaves the one that it gave up."""

    left: ClassVar = []

    def _lose_connection(self, error):
        self.left.append(self._connection)
        self._connection = None
        self._database.note_lost(error, change=True)


if __name__ == "__main__":
    bug = globals()[sys.argv.pop(1)]
    setattr(adder, "read_body" if bug is reserves_too_much else "Writer", bug)
    main()
