"""Single flight: many who ask at once share one run."""

import asyncio

import pytest

from tally.ledger.single_flight import SingleFlight


class Work:
    """Counts its runs; each waits until it is let go."""

    def __init__(self):
        self.began = 0
        self.gates = []

    async def __call__(self):
        self.began += 1
        number = self.began
        self.gates.append(asyncio.get_running_loop().create_future())
        await self.gates[-1]
        return number

    async def let_go(self, number, error=None):
        await settle()
        gate = self.gates[number - 1]
        if error is None:
            gate.set_result(None)
        else:
            gate.set_exception(error)
        await settle()


async def settle():
    """Let everything run that can."""
    for _ in range(10):
        await asyncio.sleep(0)


async def test_those_who_ask_during_a_run_share_the_next():
    work = Work()
    flight = SingleFlight(work)
    first = asyncio.create_task(flight())
    await settle()
    others = [asyncio.create_task(flight()) for _ in range(50)]
    await work.let_go(1)
    assert await first == 1
    assert not any(other.done() for other in others)
    await work.let_go(2)
    assert set(await asyncio.gather(*others)) == {2}
    assert work.began == 2


async def test_nobody_gets_an_answer_begun_before_they_asked():
    work = Work()
    flight = SingleFlight(work)
    asked = []
    for number in range(1, 6):
        asked.append((number, asyncio.create_task(flight())))
        await settle()
        if number > 1:
            await work.let_go(number - 1)
    await work.let_go(5)
    for number, task in asked:
        assert await task == number


async def test_after_a_pause_a_run_begins_at_once():
    work = Work()
    flight = SingleFlight(work)
    for number in (1, 2):
        task = asyncio.create_task(flight())
        await work.let_go(number)
        assert task.done()
        assert await task == number


async def test_an_error_reaches_all_who_share_it_and_nobody_else():
    work = Work()
    flight = SingleFlight(work)
    first = asyncio.create_task(flight())
    await settle()
    others = [asyncio.create_task(flight()) for _ in range(2)]
    await work.let_go(1, KeyError("broken"))
    with pytest.raises(KeyError):
        await first
    await work.let_go(2)
    assert await asyncio.gather(*others) == [2, 2]


async def test_who_goes_away_stops_nobody_else_s_run():
    work = Work()
    flight = SingleFlight(work)
    leaving, staying = (asyncio.create_task(flight()) for _ in range(2))
    await settle()
    leaving.cancel()
    await work.let_go(1)
    assert await staying == 1
    assert leaving.cancelled()
