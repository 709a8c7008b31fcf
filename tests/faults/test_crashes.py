"""Processes killed under load: nothing acknowledged is lost, nothing is counted twice.

Every value that is ever sent is unique, so each can be looked for in the ledger afterwards. The
books that the clients keep, and the judgement, use nothing of the ledger's own code.
"""

import asyncio
import csv
import io
import itertools
import os
import random
import signal
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from fractions import Fraction

import httpx

SEED = 20261124
CLIENTS = 12
CALM_SECONDS = 2.5
BACK_WITHIN_SECONDS = 10.0


@dataclass
class Books:
    """What the clients sent, and what they were told became of it."""

    acknowledged: dict[int, tuple[int, str]] = field(default_factory=dict)
    unknown: set[int] = field(default_factory=set)
    refused: set[int] = field(default_factory=set)
    numbers: itertools.count = field(default_factory=lambda: itertools.count(1))
    # When the newest request that was acknowledged had been sent.
    newest_sent: float = 0.0

    def acknowledge(self, values: list[int], last_id: int, total: str, sent: float) -> None:
        for place, value in enumerate(values):
            is_last = place == len(values) - 1
            entry_id = last_id - len(values) + 1 + place
            self.acknowledged[value] = (entry_id, total if is_last else "")
        self.newest_sent = max(self.newest_sent, sent)


class Client:
    """Adds single values, batches and keyed values, and retries as a careful client would."""

    def __init__(self, url: str, books: Books, dice: random.Random) -> None:
        self.url = f"{url}/adder_service/entries"
        self.books = books
        self.dice = dice
        self.stopped = False

    async def run(self) -> None:
        async with httpx.AsyncClient(timeout=15) as http:
            while not self.stopped:
                size = self.dice.choice((1, 1, 1, 5))
                values = [next(self.books.numbers) for _ in range(size)]
                if self.dice.random() < 0.5:
                    await self.add_with_key(http, values)
                else:
                    await self.add_once(http, values, {})

    async def add_with_key(self, http: httpx.AsyncClient, values: list[int]) -> None:
        key = {"Idempotency-Key": f"values-{values[0]}"}
        while not await self.add_once(http, values, key):
            if self.stopped:
                return
            await asyncio.sleep(0.05)

    async def add_once(
        self, http: httpx.AsyncClient, values: list[int], headers: dict[str, str]
    ) -> bool:
        body = {"values": values} if len(values) > 1 else {"value": values[0]}
        sent = time.monotonic()
        try:
            response = await http.post(self.url, json=body, headers=headers)
        except httpx.ConnectError:
            self.note(values, known=True)
            await asyncio.sleep(0.05)
            return False
        except httpx.TransportError:
            self.note(values, known=False)
            return False
        answer = response.json()
        if response.status_code == 201:
            self.books.unknown.difference_update(values)
            self.books.refused.difference_update(values)
            last_id = answer.get("last_id", answer.get("id"))
            self.books.acknowledge(values, last_id, answer["sum"], sent)
            return True
        assert response.status_code == 503, answer
        assert int(response.headers["Retry-After"]) >= 1
        self.note(values, known=answer["outcome"] == "not stored")
        return False

    def note(self, values: list[int], *, known: bool) -> None:
        """An earlier try's unknown outcome stays unknown whatever happens to a later one."""
        if known:
            self.books.refused.update(set(values) - self.books.unknown)
        else:
            self.books.unknown.update(values)
            self.books.refused.difference_update(values)


@asynccontextmanager
async def load(url: str, dice: random.Random) -> AsyncIterator[Books]:
    books = Books()
    clients = [Client(url, books, random.Random(dice.random())) for _ in range(CLIENTS)]
    tasks = [asyncio.create_task(client.run()) for client in clients]
    yield books
    # Once all is calm, keyed adds settle before the clients stop.
    await asyncio.sleep(1)
    for client in clients:
        client.stopped = True
    await asyncio.gather(*tasks)


async def back_in_service(books: Books, since: float) -> float:
    """Wait until a request that was sent after the fault is acknowledged."""
    while books.newest_sent <= since:
        assert time.monotonic() - since < BACK_WITHIN_SECONDS, "no answer within 10 s of the fault"
        await asyncio.sleep(0.01)
    return time.monotonic() - since


def postmaster(running) -> int:
    file = running.folder / "data" / "cluster" / "postmaster.pid"
    return int(file.read_text().split()[0])


def children(pid: int) -> list[int]:
    found = []
    for status in os.listdir("/proc"):
        if status.isdigit():
            try:
                with open(f"/proc/{status}/stat") as file:
                    fields = file.read().rpartition(")")[2].split()
            except (FileNotFoundError, ProcessLookupError):
                continue
            if int(fields[1]) == pid:
                found.append(int(status))
    return found


def title(pid: int) -> str:
    try:
        with open(f"/proc/{pid}/cmdline") as file:
            return file.read()
    except (FileNotFoundError, ProcessLookupError):
        return ""


def judge(books: Books, exported: str) -> Counter[int]:
    """Hold the ledger against the books; return how often each value is stored."""
    rows = list(csv.DictReader(io.StringIO(exported)))
    assert [int(row["id"]) for row in rows] == list(range(1, len(rows) + 1)), "ids have a gap"
    running = Fraction(0)
    for row in rows:
        running += Fraction(row["value"])
        assert Fraction(row["sum_after"]) == running, f"sum_after breaks at entry {row['id']}"
    stored = Counter(int(row["value"]) for row in rows)
    by_id = {int(row["id"]): row for row in rows}
    twice = [value for value, times in stored.items() if times > 1]
    assert not twice, f"counted twice: {twice}"
    lost = books.acknowledged.keys() - stored.keys()
    assert not lost, f"acknowledged, but lost: {sorted(lost)}"
    ghosts = books.refused & stored.keys()
    assert not ghosts, f"said to be not stored, but stored: {sorted(ghosts)}"
    unaccounted = stored.keys() - books.acknowledged.keys() - books.unknown
    assert not unaccounted, f"stored, but never sent: {sorted(unaccounted)}"
    for value, (entry_id, total) in books.acknowledged.items():
        assert int(by_id[entry_id]["value"]) == value, "an answer named another entry's id"
        assert total in ("", by_id[entry_id]["sum_after"]), "an answer named another sum"
    return stored


async def test_nothing_is_lost_or_doubled_when_processes_are_killed(tally_up: Callable) -> None:
    dice = random.Random(SEED)
    running = tally_up()
    port = running.url.rpartition(":")[2]

    def kill_server() -> None:
        os.kill(postmaster(running), signal.SIGKILL)

    def kill_one_backend() -> None:
        backends = [pid for pid in children(postmaster(running)) if "tally_adder" in title(pid)]
        assert backends, "the adder has no connection"
        os.kill(dice.choice(backends), signal.SIGKILL)

    def kill_everything() -> None:
        nonlocal running
        server = postmaster(running)
        os.kill(running.process.pid, signal.SIGKILL)
        os.kill(server, signal.SIGKILL)
        running.process.wait()
        running = tally_up(running.folder, PORT=port)

    faults = [kill_server, kill_one_backend, kill_everything] * 2
    dice.shuffle(faults)
    outages = []
    async with load(running.url, dice) as books:
        for fault in faults:
            await asyncio.sleep(CALM_SECONDS * (0.5 + dice.random()))
            server = postmaster(running)
            await asyncio.to_thread(fault)
            outages.append(await back_in_service(books, time.monotonic()))
            assert (postmaster(running) == server) == (fault is kill_one_backend)
    assert len(outages) == len(faults)

    assert len(books.acknowledged) > 1000, "too little load to show anything"
    async with httpx.AsyncClient(timeout=60) as http:
        exported = (await http.get(f"{running.url}/display_service/entries.csv")).text
    judge(books, exported)
    assert running.stop() == 0


async def test_sigterm_under_load_answers_what_is_in_flight(tally_up: Callable) -> None:
    running = tally_up()
    port = running.url.rpartition(":")[2]
    dice = random.Random(SEED)
    async with load(running.url, dice) as books:
        await asyncio.sleep(1.5)
        asked = time.monotonic()
        assert await asyncio.to_thread(running.stop) == 0
        assert time.monotonic() - asked < 10
        running = tally_up(running.folder, PORT=port)
    async with httpx.AsyncClient(timeout=60) as http:
        exported = (await http.get(f"{running.url}/display_service/entries.csv")).text
    stored = judge(books, exported)
    assert not books.unknown & stored.keys(), "an add was stored and not answered"
    running.stop()
