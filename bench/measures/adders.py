"""Two adder processes on one ledger: they take turns at the total's row."""

from bench.goals import Measure, at_least
from bench.load import wrk
from bench.rounds import Figures
from bench.stand import CLIENTS, ENTRIES, Stand

TWO = Measure(
    "adders",
    "two adder processes against one, same total work",
    must=at_least(0.9),
    aim=at_least(1),
)


def run(stand: Stand) -> None:
    """All clients at one adder, and half of them at each of two."""
    with (
        stand.ledger("adders") as ledger,
        stand.tally("adder", ledger) as first,
        stand.tally("adder", ledger) as second,
    ):
        addresses = [first.url + ENTRIES, second.url + ENTRIES]
        rounds = stand.interleave(
            "adders",
            {
                "one": lambda: stand.load("add", addresses[0]),
                "two": lambda: _both(addresses, stand.pace.warm_up, stand.pace.seconds),
            },
        )
    stand.findings.add(TWO, rounds.ratio("two", "one"), rounds)


def _both(addresses: list[str], warm_up: int, seconds: int) -> Figures:
    """Load both at once, after a warm-up; the rates add up, the slower latency counts."""
    for duration in (warm_up, seconds):
        loads = [
            wrk.start("add", address, connections=CLIENTS // 2, seconds=duration)
            for address in addresses
        ]
        halves = [wrk.finish(load, duration) for load in loads]
    return {
        "rate": sum(half["rate"] for half in halves),
        "p99": max(half["p99"] for half in halves),
    }
