"""The clients: they add, read, reset and undo, keep to the contract, and record everything."""

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

from faults.history import Attempt
from faults.httpclient import Address, Answer, Connection, NoAnswer, NotSent, encode
from faults.recorder import Recorder

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
_CREATED, _UNAVAILABLE = 201, 503


@dataclass(frozen=True, slots=True)
class Addition:
    """The body of an add, to be sent once or, with a key, again until it is answered."""

    values: tuple[str, ...]
    batch: bool
    key: str | None
    body: bytes


class Additions:
    """Makes additions; no value occurs twice, so that each can be found again in the ledger."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._numbers = itertools.count(1)
        self.given_up: list[Addition] = []
        """Additions with keys that nobody waits for any more, whatever became of them."""
        self.everywhere = False
        """Whether each has a key and is sent to all adders at once."""

    def new(self) -> Addition:
        """A value or a batch of them, with a key or without."""
        batch = self._rng.random() < 0.25
        size = self._rng.randint(*_BATCH_SIZES) if batch else 1
        values = tuple(self._value() for _ in range(size))
        # As a JSON number or as a string: both are exact.
        written = [text if self._rng.random() < 0.5 else f'"{text}"' for text in values]
        body = f'{{"values":[{",".join(written)}]}}' if batch else f'{{"value":{written[0]}}}'
        key = f"key-{values[0]}" if self._rng.random() < 0.5 or self.everywhere else None
        return Addition(values, batch, key, body.encode())

    def _value(self) -> str:
        """Mostly whole numbers, some negative, some that a sum in floats would show."""
        number = next(self._numbers)
        chance = self._rng.random()
        if chance < 0.2:
            return f"{number}.000000001"
        return f"-{number}" if chance < 0.3 else str(number)


class Client:
    """What all clients have: a number, random choices, and connections to the services they use."""

    def __init__(self, number: int, recorder: Recorder, rng: random.Random) -> None:
        self.number = number
        self.recorder = recorder
        self.rng = rng
        self.stopping = asyncio.Event()
        self._idle: dict[Address, list[Connection]] = defaultdict(list)

    async def run(self) -> None:
        """Go on until `stopping` is set."""
        try:
            while not self.stopping.is_set():
                await self.act()
                await asyncio.sleep(self.rng.uniform(0, 2 * _PAUSE))
            await self.finish()
        finally:
            for connection in chain.from_iterable(self._idle.values()):
                connection.close()

    async def act(self) -> None:
        raise NotImplementedError

    async def finish(self) -> None:
        """Do what is left to do in the end."""

    async def send(self, address: Address, request: bytes, **known: Any) -> Attempt:  # noqa: ANN401
        """Send a request once and record what came of it; `known` goes into the attempt."""
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
        attempt = Attempt(
            client=self.number,
            service=address.name,
            sent=sent,
            ended=time.monotonic(),
            **known,
            **outcome,
        )
        self.recorder.record(attempt)
        return attempt


class Adding(Client):
    """Adds at its own adder, and tries again at others where it has a key."""

    def __init__(
        self,
        number: int,
        recorder: Recorder,
        rng: random.Random,
        additions: Additions,
        adders: Sequence[Address],
    ) -> None:
        """Make the first of `adders` its own."""
        super().__init__(number, recorder, rng)
        self._additions = additions
        self._adders = adders
        self._acknowledged: deque[Addition] = deque(maxlen=_OLD_KEYS)

    async def act(self) -> None:
        """Add something new, or use an old key once more."""
        if self._acknowledged and self.rng.random() < 0.05:
            await self._add(self.rng.choice(self._acknowledged), self.rng.choice(self._adders))
            return
        addition = self._additions.new()
        if addition.key is None:
            await self._add(addition, self._adders[0])
        elif await self._add_until_answered(addition):
            self._acknowledged.append(addition)

    async def _add_until_answered(self, addition: Addition) -> bool:
        give_up = time.monotonic() + _PATIENCE
        # Now and then a double click, at two adders at once.
        count = 2 if self.rng.random() < 0.05 else 1
        adders = self._adders if self._additions.everywhere else self._adders[:count]
        attempts = list(await asyncio.gather(*(self._add(addition, adder) for adder in adders)))
        while not any(attempt.status == _CREATED for attempt in attempts):
            if time.monotonic() > give_up or self.rng.random() < 0.02:
                self._additions.given_up.append(addition)
                return False
            await asyncio.sleep(self.rng.uniform(0, 2 * _RETRY_PAUSE))
            attempts = [await self._add(addition, self.rng.choice(self._adders))]
        return True

    async def finish(self) -> None:
        """Find out by their keys what became of adds that were given up on."""
        while self._additions.given_up:
            addition = self._additions.given_up.pop()
            give_up = time.monotonic() + _PATIENCE
            attempt = await self._add(addition, self.rng.choice(self._adders))
            while attempt.status != _CREATED and time.monotonic() < give_up:
                await asyncio.sleep(self.rng.uniform(0, 2 * _RETRY_PAUSE))
                attempt = await self._add(addition, self.rng.choice(self._adders))

    async def _add(self, addition: Addition, adder: Address) -> Attempt:
        request = encode("POST", ADD, addition.body, addition.key)
        return await self.send(adder, request, **described(addition))


class Reading(Client):
    """Reads the total and the newest entries at one of the displays."""

    def __init__(
        self, number: int, recorder: Recorder, rng: random.Random, displays: Sequence[Address]
    ) -> None:
        """Read at the first of `displays`, and now and then at another."""
        super().__init__(number, recorder, rng)
        self._displays = displays

    async def act(self) -> None:
        display = self._displays[0]
        if self.rng.random() < 0.1:
            display = self.rng.choice(self._displays)
        if self.rng.random() < 0.8:
            await self.send(display, encode("GET", "/display_service/total"), kind="total")
        else:
            path = f"/display_service/entries?limit={self.rng.choice((1, 10, 50))}"
            await self.send(display, encode("GET", path), kind="entries")


class Listing(Client):
    """Lists the newest resets."""

    def __init__(
        self, number: int, recorder: Recorder, rng: random.Random, service: Address
    ) -> None:
        super().__init__(number, recorder, rng)
        self._service = service

    async def act(self) -> None:
        path = f"{_RESETS}?limit={self.rng.choice((1, 10, 50))}"
        await self.send(self._service, encode("GET", path), kind="resets")


class Resetting(Client):
    """Resets every few seconds; some resets it undoes, at once or later, some not."""

    def __init__(
        self, number: int, recorder: Recorder, rng: random.Random, service: Address
    ) -> None:
        super().__init__(number, recorder, rng)
        self._service = service
        self._keys = itertools.count(1)
        self._acknowledged: deque[str] = deque(maxlen=_OLD_KEYS)

    async def act(self) -> None:
        """Reset, perhaps undo, and rest; or use an old key once more."""
        if self._acknowledged and self.rng.random() < 0.2:
            await self._reset(self.rng.choice(self._acknowledged))
        else:
            key = f"reset-{next(self._keys)}" if self.rng.random() < 0.7 else None
            attempt = await self._reset(key)
            if attempt.answer is not None and attempt.status == _CREATED:
                if key is not None:
                    self._acknowledged.append(key)
                if attempt.answer["id"] and self.rng.random() < 0.7:
                    await self._undo(attempt.answer["id"])
        await self._rest(self.rng.uniform(*_RESET_PAUSE))

    async def _reset(self, key: str | None) -> Attempt:
        request = encode("POST", _RESETS, key=key)
        return await self._repeat(request, repeatable=key is not None, kind="reset", key=key)

    async def _undo(self, made: int) -> None:
        if self.rng.random() < 0.5:
            await self._rest(self.rng.uniform(0, 2))
        # By its id a reset is undone once, however often that is asked for.
        await self._repeat(
            encode("DELETE", f"{_RESETS}/{made}"), repeatable=True, kind="undo", values=(str(made),)
        )

    async def _repeat(self, request: bytes, *, repeatable: bool, **known: Any) -> Attempt:  # noqa: ANN401
        give_up = time.monotonic() + _PATIENCE
        while True:
            attempt = await self.send(self._service, request, **known)
            answered = attempt.status not in (None, _UNAVAILABLE)
            if answered or not repeatable or time.monotonic() > give_up:
                return attempt
            await asyncio.sleep(self.rng.uniform(0, 2 * _RETRY_PAUSE))

    async def _rest(self, seconds: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self.stopping.wait()


class Load:
    """All clients together."""

    def __init__(
        self,
        recorder: Recorder,
        rng: random.Random,
        adders: Sequence[Address],
        displays: Sequence[Address],
        reset: Address,
    ) -> None:
        """Spread the clients over the services; nothing is sent yet."""
        numbers = itertools.count(1)

        def own_rng() -> random.Random:
            return random.Random(rng.random())

        self.additions = Additions(own_rng())
        self._clients: list[Client] = [
            Adding(next(numbers), recorder, own_rng(), self.additions, _rotated(adders, place))
            for place in range(ADDING)
        ]
        self._clients += [
            Reading(next(numbers), recorder, own_rng(), _rotated(displays, place))
            for place in range(READING)
        ]
        self._clients += [
            Listing(next(numbers), recorder, own_rng(), reset),
            Resetting(next(numbers), recorder, own_rng(), reset),
        ]
        self.next_number = next(numbers)
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        self._tasks = [asyncio.create_task(client.run()) for client in self._clients]

    async def stop(self) -> None:
        """Let the clients finish what they are at, and settle what has a key."""
        for client in self._clients:
            client.stopping.set()
        await asyncio.gather(*self._tasks)

    def cancel(self) -> None:
        for task in self._tasks:
            task.cancel()


def described(addition: Addition) -> dict[str, Any]:
    """What an attempt says of an addition."""
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
