"""A client: sends an add, waits as long as it likes, and repeats it with its key if it has to."""

import asyncio
from typing import TYPE_CHECKING, Any, Final

from faults.history import Attempt
from simulation.adder import Call, Reply

if TYPE_CHECKING:
    from simulation.schedule import Ask
    from simulation.world import World

CREATED: Final = 201
UNAVAILABLE: Final = 503
_PAUSE: Final = 0.3
_RETRIES: Final = 3


class Client:
    """Wants one add, whose values nobody else sends."""

    def __init__(self, world: "World", number: int, ask: "Ask") -> None:
        self.number = number
        self.ask = ask
        self.key = f"key-{number}" if ask.keyed else None
        self.values = tuple(f"{ask.size}.{number:03}{place + 1}" for place in range(ask.values))
        self.attempts: list[Attempt] = []
        self._world = world

    @property
    def batch(self) -> bool:
        return self.ask.batch or len(self.values) > 1

    async def run(self) -> None:
        """Try, at both adders at once if so asked, and again a few times with a key."""
        ask = self.ask
        if ask.twice and self.key is not None:
            self._world.spawn(self.attempt(ask.retry_adder))
        reply = await self.attempt(ask.adder, ask.patience)
        for _ in range(_RETRIES if self.key is not None else 0):
            if reply is not None and reply.status != UNAVAILABLE:
                return
            await asyncio.sleep(_PAUSE)
            reply = await self.attempt(ask.retry_adder, ask.patience)

    async def settle(self) -> None:
        """Repeat what has a key until the answer is final."""
        if self.key is None:
            return
        while (reply := await self.attempt(self.ask.retry_adder)) is None or (
            reply.status == UNAVAILABLE
        ):
            await asyncio.sleep(_PAUSE)

    async def attempt(self, adder: int, patience: float | None = None) -> Reply | None:
        """Send it once; None where no answer came within its patience, in seconds."""
        world = self._world
        process = world.processes[adder]
        sent = world.now()
        noted: dict[str, Any] = {
            "client": self.number,
            "kind": "add",
            "service": process.name,
            "sent": sent,
            "key": self.key,
            "values": self.values,
            "batch": self.batch,
        }
        if process.killed:
            self.attempts.append(Attempt(**noted, ended=sent, never_sent=True, error="refused"))
            return None
        request_id = f"{self.number}-{len(self.attempts)}"
        call = Call(request_id, self.values, self.key, self.batch)
        world.trace(process.name, "is asked for", self.values, self.key)
        process.take(call)
        if patience is not None:
            world.later(patience, call.give_up)
        reply = await call.reply
        if reply is None:
            self.attempts.append(Attempt(**noted, ended=world.now(), error="no answer"))
            return None
        world.trace(process.name, "answered", self.values, reply)
        attempt = Attempt(
            **noted,
            ended=world.now(),
            status=reply.status,
            answer=reply.body,
            replayed=reply.replayed,
        )
        self.attempts.append(attempt)
        world.promises.check_answer(attempt)
        return reply
