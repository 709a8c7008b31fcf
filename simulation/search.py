"""Searches schedules for one that breaks a promise; shrinks it, and replays it to the bit."""

import gc
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Final

import detangle
from detangle import BugFound, RandomWalk, Replay, SimConfig

from simulation.functions import Functions
from simulation.world import Event, simulate

# Seconds of virtual time: a schedule that is not over by then hangs.
_LONGEST: Final = 60.0
# Characters shown of each part of what happened.
_WIDEST: Final = 150
# A callback is run when asyncio would run it: the program has no other order.
_CONFIG: Final = SimConfig(reorder=False, seed_random=False, max_time=_LONGEST)


@dataclass(frozen=True, slots=True)
class Finding:
    """A schedule that broke a promise, as small as could be found; `token` replays it."""

    token: str
    error: str
    runs: int


def quieten() -> None:
    """Log nothing of what a schedule does, and leave alone what was loaded, with its garbage."""
    logging.disable(logging.CRITICAL)
    gc.collect()
    gc.freeze()


def search(
    seed: int,
    *,
    runs: int,
    seconds: float | None = None,
    functions: type[Functions] = Functions,
    shrink: bool = True,
) -> Finding | int:
    """Try that many schedules, or for so long; give how many kept every promise, or a finding."""
    try:
        stats = detangle.explore(
            partial(simulate, functions),
            runs=runs,
            strategy=RandomWalk(seed),
            max_duration=seconds,
            config=_CONFIG,
            database=False,
            shrink=shrink,
        )
    except BugFound as found:
        report = found.report
        return Finding(report.token, report.failure.message, report.runs)
    return stats.runs


def schedule(seed: int, number: int) -> str:
    """Give the token of a schedule that `search` tries, by its number from 0."""
    strategy = RandomWalk(seed)
    strategy.start(number)
    result = detangle.execute(simulate, config=_CONFIG, strategy=strategy)
    return detangle.encode_token(result.values)


def replay(token: str, functions: type[Functions] = Functions) -> tuple[list[Event], str | None]:
    """Run a schedule again; give all that happened, and which promise was broken if one was."""
    events: list[Event] = []
    values = detangle.decode_token(token)
    result = detangle.execute(
        partial(simulate, functions, traced=events), config=_CONFIG, strategy=Replay(values)
    )
    return events, None if result.failure is None else result.failure.message


def lines(events: list[Event]) -> Iterator[str]:
    """Write what happened, a line each."""
    for moment, what in events:
        words = (" ".join(str(part).split()) for part in what)
        yield f"{moment:9.4f}  " + " ".join(f"{word:.{_WIDEST}}" for word in words)
