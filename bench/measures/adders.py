"""Several adder processes on one ledger: they take turns at the total's row."""

from contextlib import ExitStack
from functools import partial

from bench.goals import Measure, at_least
from bench.load import wrk
from bench.rounds import Figures
from bench.runner import CLIENTS, ENTRIES, Runner

NUMBERS = (1, 2, 4)

TWO = Measure(
    "adders",
    "two adder processes against one, same total work",
    must=at_least(0.95),
    aim=at_least(1),
)


def run(runner: Runner) -> None:
    """The same clients, spread over so many adders."""
    with ExitStack() as stack:
        ledger = stack.enter_context(runner.ledger("adders"))
        addresses = [
            stack.enter_context(runner.tally("adder", ledger)).url + ENTRIES
            for _ in range(max(NUMBERS))
        ]
        rounds = runner.interleave(
            "adders",
            {
                str(number): partial(
                    _all, addresses[:number], runner.pace.warm_up, runner.pace.seconds
                )
                for number in NUMBERS
            },
        )
    runner.findings.add(TWO, rounds.ratio("2", "1"), rounds)


def _all(addresses: list[str], warm_up: int, seconds: int) -> Figures:
    """Load all at once, after a warm-up; the rates add up, the slowest latency counts."""
    for duration in (warm_up, seconds):
        loads = [
            wrk.start("add", address, connections=CLIENTS // len(addresses), seconds=duration)
            for address in addresses
        ]
        shares = [wrk.finish(load, duration) for load in loads]
    return {
        "rate": sum(share["rate"] for share in shares),
        "p50": max(share["p50"] for share in shares),
        "p99": max(share["p99"] for share in shares),
    }
