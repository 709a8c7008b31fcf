"""The clients: they add, read, reset and undo, keep to the contract, and write down everything."""

import asyncio
import itertools
import json
import random
import time
from collections import defaultdict, deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain
from typing import Any, Final

from faults.history import History, Record
from faults.httpclient import Address, Answer, Connection, NoAnswer, NotSent, encode

ADDING, READING = 11, 3  # and one that resets, one that lists resets: 16 clients
# Seconds between two requests of a client, on average: some hundreds a second from all of them.
_PAUSE: Final = 0.04
# A careful client gives up on a key after this many seconds, twice the longest allowed outage.
_PATIENCE: Final = 20.0
_RETRY_PAUSE: Final = 0.2
_RESET_PAUSE: Final = (1.5, 5.0)
_BATCH_SIZES: Final = (2, 20)
_OLD_KEYS: Final = 500
ADD: Final = "/adder_service/entries"
_RESETS: Final = "/reset_service/resets"
_CREATED, _OK, _UNAVAILABLE = 201, 200, 503


@dataclass(frozen=True, slots=True)
class Addition:
    """The body of an add, to be sent once or, with a key, again until it is answered."""

    values: tuple[str, ...]
    batch: bool
    key: str | None
    body: bytes


class Additions:
    """Makes additions; no value occurs twice, so that each can be found again in the ledger."""

    def __init__(self, dice: random.Random) -> None:
        """Begin with 1."""
        self._dice = dice
        self._numbers = itertools.count(1)

    def new(self) -> Addition:
        """A value or a batch of them, with a key or without."""
        batch = self._dice.random() < 0.25
        size = self._dice.randint(*_BATCH_SIZES) if batch else 1
        values = tuple(self._value() for _ in range(size))
        # As a JSON number or as a string: both are exact.
        written = [text if self._dice.random() < 0.5 else f'"{text}"' for text in values]
        body = f'{{"values":[{",".join(written)}]}}' if batch else f'{{"value":{written[0]}}}'
        key = f"key-{values[0]}" if self._dice.random() < 0.5 else None
        return Addition(values, batch, key, body.encode())

    def _value(self) -> str:
        """Mostly whole numbers, some negative, some that a sum in floats would show."""
        number = next(self._numbers)
        chance = self._dice.random()
        if chance < 0.2:
            return f"{number}.000000001"
        return f"-{number}" if chance < 0.3 else str(number)


class Books:
    """Where clients note each request, and what shows that a service is back."""

    def __init__(self, history: History) -> None:
        """Write into this history."""
        self.history = history
        self._newest: dict[str, float] = {}
        self.failures = 0
        """Adds that got no answer, or the answer that the service is not available."""
        self.given_up: list[Addition] = []
        """Adds with keys that nobody waits for any more, whatever became of them."""

    def note(self, record: Record) -> None:
        """Keep a record."""
        self.history.add(record)
        if record.status in (_OK, _CREATED):
            self._newest[record.service] = max(self._newest.get(record.service, 0), record.sent)
        elif record.kind == "add" and record.status in (None, _UNAVAILABLE):
            self.failures += 1

    def has_answered(self, services: Sequence[str], since: float) -> bool:
        """Whether each has done a request that was sent after `since`."""
        return all(self._newest.get(service, 0) > since for service in services)


class Client:
    """What all clients have: a number, their dice, and connections to the services they use."""

    def __init__(self, number: int, books: Books, dice: random.Random) -> None:
        """Nothing is sent yet."""
        self.number = number
        self.books = books
        self.dice = dice
        self.stopping = asyncio.Event()
        self._idle: dict[Address, list[Connection]] = defaultdict(list)

    async def run(self) -> None:
        """Go on until `stopping` is set."""
        try:
            while not self.stopping.is_set():
                await self.act()
                await asyncio.sleep(self.dice.uniform(0, 2 * _PAUSE))
            await self.finish()
        finally:
            for connection in chain.from_iterable(self._idle.values()):
                connection.close()

    async def act(self) -> None:
        """Do one thing."""
        raise NotImplementedError

    async def finish(self) -> None:
        """Do what is left to do in the end."""

    async def send(self, address: Address, request: bytes, **known: Any) -> Record:  # noqa: ANN401
        """Send a request once and note what came of it; `known` goes into the record."""
        idle = self._idle[address]
        connection = idle.pop() if idle else Connection(address)
        sent = time.monotonic()
        outcome: dict[str, Any]
        try:
            outcome = _read(await connection.request(request))
        except NotSent as error:
            outcome = {"error": str(error), "never_sent": True}
        except NoAnswer as error:
            outcome = {"error": str(error)}
        finally:
            idle.append(connection)
        record = Record(
            client=self.number,
            service=address.name,
            sent=sent,
            ended=time.monotonic(),
            **known,
            **outcome,
        )
        self.books.note(record)
        return record


class Adding(Client):
    """Adds at its own adder, and tries again at others where it has a key."""

    def __init__(
        self,
        number: int,
        books: Books,
        dice: random.Random,
        additions: Additions,
        adders: Sequence[Address],
    ) -> None:
        """Make the first of `adders` its own."""
        super().__init__(number, books, dice)
        self._additions = additions
        self._adders = adders
        self._acknowledged: deque[Addition] = deque(maxlen=_OLD_KEYS)

    async def act(self) -> None:
        """Add something new, or use an old key once more."""
        if self._acknowledged and self.dice.random() < 0.05:
            await self._add(self.dice.choice(self._acknowledged), self.dice.choice(self._adders))
            return
        addition = self._additions.new()
        if addition.key is None:
            await self._add(addition, self._adders[0])
        elif await self._add_until_answered(addition):
            self._acknowledged.append(addition)

    async def _add_until_answered(self, addition: Addition) -> bool:
        give_up = time.monotonic() + _PATIENCE
        if self.dice.random() < 0.05:  # a double click, at two adders at once
            first, second = self._adders[:2]
            records = list(
                await asyncio.gather(self._add(addition, first), self._add(addition, second))
            )
        else:
            records = [await self._add(addition, self._adders[0])]
        while not any(record.status == _CREATED for record in records):
            if time.monotonic() > give_up or self.dice.random() < 0.02:
                self.books.given_up.append(addition)
                return False
            await asyncio.sleep(self.dice.uniform(0, 2 * _RETRY_PAUSE))
            records = [await self._add(addition, self.dice.choice(self._adders))]
        return True

    async def finish(self) -> None:
        """Find out by their keys what became of adds that were given up on."""
        while self.books.given_up:
            addition = self.books.given_up.pop()
            give_up = time.monotonic() + _PATIENCE
            record = await self._add(addition, self.dice.choice(self._adders))
            while record.status != _CREATED and time.monotonic() < give_up:
                await asyncio.sleep(self.dice.uniform(0, 2 * _RETRY_PAUSE))
                record = await self._add(addition, self.dice.choice(self._adders))

    async def _add(self, addition: Addition, adder: Address) -> Record:
        request = encode("POST", ADD, addition.body, addition.key)
        return await self.send(adder, request, **described(addition))


class Reading(Client):
    """Reads the total and the newest entries at one of the displays."""

    def __init__(
        self, number: int, books: Books, dice: random.Random, displays: Sequence[Address]
    ) -> None:
        """Read at the first of `displays`, and now and then at another."""
        super().__init__(number, books, dice)
        self._displays = displays

    async def act(self) -> None:
        """Read once."""
        display = self._displays[0]
        if self.dice.random() < 0.1:
            display = self.dice.choice(self._displays)
        if self.dice.random() < 0.8:
            await self.send(display, encode("GET", "/display_service/total"), kind="total")
        else:
            path = f"/display_service/entries?limit={self.dice.choice((1, 10, 50))}"
            await self.send(display, encode("GET", path), kind="entries")


class Listing(Client):
    """Lists the newest resets."""

    def __init__(self, number: int, books: Books, dice: random.Random, service: Address) -> None:
        """List them at this service."""
        super().__init__(number, books, dice)
        self._service = service

    async def act(self) -> None:
        """List once."""
        path = f"{_RESETS}?limit={self.dice.choice((1, 10, 50))}"
        await self.send(self._service, encode("GET", path), kind="resets")


class Resetting(Client):
    """Resets every few seconds; some resets it undoes, at once or later, some not."""

    def __init__(self, number: int, books: Books, dice: random.Random, service: Address) -> None:
        """Reset at this service."""
        super().__init__(number, books, dice)
        self._service = service
        self._keys = itertools.count(1)
        self._acknowledged: deque[str] = deque(maxlen=_OLD_KEYS)

    async def act(self) -> None:
        """Reset, perhaps undo, and rest; or use an old key once more."""
        if self._acknowledged and self.dice.random() < 0.2:
            await self._reset(self.dice.choice(self._acknowledged))
        else:
            key = f"reset-{next(self._keys)}" if self.dice.random() < 0.7 else None
            record = await self._reset(key)
            if record.answer is not None and record.status == _CREATED:
                if key is not None:
                    self._acknowledged.append(key)
                if self.dice.random() < 0.7:
                    await self._undo(record.answer["id"])
        await self._rest(self.dice.uniform(*_RESET_PAUSE))

    async def _reset(self, key: str | None) -> Record:
        request = encode("POST", _RESETS, key=key)
        return await self._repeat(request, repeatable=key is not None, kind="reset", key=key)

    async def _undo(self, made: int) -> None:
        if self.dice.random() < 0.5:
            await self._rest(self.dice.uniform(0, 2))
        # By its id a reset is undone once, however often that is asked for.
        await self._repeat(
            encode("DELETE", f"{_RESETS}/{made}"), repeatable=True, kind="undo", values=(str(made),)
        )

    async def _repeat(self, request: bytes, *, repeatable: bool, **known: Any) -> Record:  # noqa: ANN401
        give_up = time.monotonic() + _PATIENCE
        while True:
            record = await self.send(self._service, request, **known)
            answered = record.status not in (None, _UNAVAILABLE)
            if answered or not repeatable or time.monotonic() > give_up:
                return record
            await asyncio.sleep(self.dice.uniform(0, 2 * _RETRY_PAUSE))

    async def _rest(self, seconds: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self.stopping.wait()


class Load:
    """All clients together."""

    def __init__(
        self,
        books: Books,
        dice: random.Random,
        adders: Sequence[Address],
        displays: Sequence[Address],
        reset: Address,
    ) -> None:
        """Spread the clients over the services; nothing is sent yet."""
        numbers = itertools.count(1)

        def own_dice() -> random.Random:
            return random.Random(dice.random())

        self.additions = Additions(own_dice())
        self._clients: list[Client] = [
            Adding(next(numbers), books, own_dice(), self.additions, _rotated(adders, place))
            for place in range(ADDING)
        ]
        self._clients += [
            Reading(next(numbers), books, own_dice(), _rotated(displays, place))
            for place in range(READING)
        ]
        self._clients += [
            Listing(next(numbers), books, own_dice(), reset),
            Resetting(next(numbers), books, own_dice(), reset),
        ]
        self.next_number = next(numbers)
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Let all clients begin."""
        self._tasks = [asyncio.create_task(client.run()) for client in self._clients]

    async def stop(self) -> None:
        """Let the clients finish what they are at, and settle what has a key."""
        for client in self._clients:
            client.stopping.set()
        await asyncio.gather(*self._tasks)

    def cancel(self) -> None:
        """End all clients where they are."""
        for task in self._tasks:
            task.cancel()


def described(addition: Addition) -> dict[str, Any]:
    """What a record says of an addition."""
    return {
        "kind": "add",
        "key": addition.key,
        "values": addition.values,
        "batch": addition.batch,
    }


def _read(answer: Answer) -> dict[str, Any]:
    return {
        "status": answer.status,
        "answer": json.loads(answer.body),
        "replayed": answer.headers.get("idempotency-replayed") == "true",
    }


def _rotated(addresses: Sequence[Address], places: int) -> list[Address]:
    places %= len(addresses)
    return [*addresses[places:], *addresses[:places]]
