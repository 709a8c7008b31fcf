"""Bugs for the simulation to find: in the service, and in the database's functions."""

from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from unittest import mock

from simulation.functions import Functions
from simulation.state import Writer as WriterRow
from tally.ledger import session, writer
from tally.ledger.database import Database, Unavailable
from tally.ledger.queue import Queue
from tally.ledger.resets import Resets
from tally.ledger.writer import Writer

# In the database's functions, as revision 0002 had them


class SettlesWithoutACommit(Functions):
    """Believes what it sees of a lost batch."""

    async def settle_batch(self, tx, writer, batch):
        rows = await super().settle_batch(tx, writer, batch)
        tx.confirms = False
        return rows


class ReplaysWithoutACommit(Functions):
    """Believes what it sees of a key."""

    async def recall(self, tx, keys):
        rows = await super().recall(tx, keys)
        tx.confirms = False
        return rows


class RepeatsResetsWithoutACommit(Functions):
    """Believes what it sees of a reset's key."""

    async def reset_total(self, tx, key):
        rows = await super().reset_total(tx, key)
        tx.confirms = False
        return rows


class TakesAnyLaterBatch(Functions):
    """Has a fence that only keeps out what was."""

    def _is_next(self, tx, writer, batch):
        row = tx.read(("writer", writer))
        return row is not None and row.batch < batch


class SettlesWithoutMovingOn(Functions):
    """Leaves a lost batch its number, under which a backend that slept may still store it."""

    async def settle_batch(self, tx, writer, batch):
        rows = await super().settle_batch(tx, writer, batch)
        if rows and rows[0]["before_id"] is None:
            tx.write(("writer", writer), WriterRow(batch - 1))
        return rows


# In the writer


async def believes_that_lost_is_not_stored(self):
    return None


def stays_one_by_one(self, name, value):
    if name != "_one_by_one" or value or not hasattr(self, name):
        object.__setattr__(self, name, value)


async def acknowledges_before_the_commit(self, connection, requests):
    async with connection.transaction():
        before = await add_batch(self, connection, requests)
        if before is not None:
            writer._answer([(request, request.claim()) for request in requests], before)
    return before


async def forgets_keys_of_batches(self, connection, requests):
    without = [
        replace(request, key=None) if len(request.values) > 1 else request for request in requests
    ]
    return await add_batch(self, connection, without)


async def numbers_no_batch(self, connection, requests):
    before = await add_batch(self, connection, requests)
    if before is not None:
        self._batch_number -= 1
    return before


def calls_what_was_sent_known(self, now):
    sent, self._batch_sent = self._batch_sent, False
    give_up(self, now)
    self._batch_sent = sent


def puts_first(self, request):
    put(self, request)
    self._requests.rotate(1)


async def never_expires(self):
    pass


ENDS_NOBODY = "SELECT 1 -- $1, $2"


def ignores_warnings(self, ended_waits):
    pass


def forgets_that_there_was_a_key(self):
    return self


def begins_nothing_anew(self):
    pass


async def believes_what_it_reads(self, reset_id):
    return await self.get(reset_id)


add_batch, give_up, put = Writer._add_batch, Writer._give_up, Queue.put


@dataclass(frozen=True)
class Bug:
    """What to plant, and the promise that must be seen broken."""

    broken: str
    functions: type[Functions] = Functions
    owner: object = None
    name: str = ""
    stand_in: object = None

    @contextmanager
    def planted(self):
        """Plant it for a while; gives the functions of the database that goes with it."""
        with (
            mock.patch.object(self.owner, self.name, self.stand_in) if self.owner else nullcontext()
        ):
            yield self.functions


def service(broken, owner, name, stand_in):
    return Bug(broken, owner=owner, name=name, stand_in=stand_in)


BUGS = {
    "settles without a commit": Bug("NotDurable", SettlesWithoutACommit),
    "replays without a commit": Bug("NotDurable", ReplaysWithoutACommit),
    "repeats resets without a commit": Bug("NotDurable", RepeatsResetsWithoutACommit),
    "reads an undo without a commit": service(
        "NotDurable", Resets, "_confirmed", believes_what_it_reads
    ),
    "ignores a cancelled wait": service("NotDurable", Database, "require_waited", ignores_warnings),
    "acknowledges before the commit": service(
        "NotDurable", Writer, "_add_batch", acknowledges_before_the_commit
    ),
    "takes any later batch": Bug("BatchSkipped", TakesAnyLaterBatch),
    "settles without moving on": Bug("BatchSkipped", SettlesWithoutMovingOn),
    "numbers no batch": service("NotDurable", Writer, "_add_batch", numbers_no_batch),
    "takes what is lost for not stored": service(
        "Misled", Writer, "_outcome", believes_that_lost_is_not_stored
    ),
    "forgets keys of batches": service("Misled", Writer, "_add_batch", forgets_keys_of_batches),
    "calls known what was sent": service("Misled", Writer, "_give_up", calls_what_was_sent_known),
    "forgets that a repeat is one": service(
        "Misled", Unavailable, "under_key", forgets_that_there_was_a_key
    ),
    "begins nothing anew": service("NotServed", Writer, "_begin_anew", begins_nothing_anew),
    "stays one by one": service("NotTogether", Writer, "__setattr__", stays_one_by_one),
    "puts the newest first": service("TooLate", Queue, "put", puts_first),
    "never expires": service("TooLate", Writer, "_expire", never_expires),
    "ends no abandoned session": service("TooManySessions", session, "_END", ENDS_NOBODY),
}
