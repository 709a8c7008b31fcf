"""What an Idempotency-Key costs, with few keys stored and with many."""

from contextlib import ExitStack

from bench.filling import fill_ledger
from bench.goals import Measure, at_least
from bench.stand import ENTRIES, Stand, progress

FEW = Measure(
    "keys",
    "single adds with distinct Idempotency-Keys, against without",
    must=at_least(0.8),
    aim=at_least(0.95),
)
MANY = Measure(
    "keys/many", "... with {count:,} keys stored", must=at_least(0.8), aim=at_least(0.95)
)


def run(stand: Stand) -> None:
    """With and without keys, on an empty ledger and on one full of keys."""
    many = stand.pace.many
    with ExitStack() as stack:
        few_keys = stack.enter_context(stand.ledger("keys"))
        many_keys = stack.enter_context(stand.ledger("many-keys"))
        progress(f"filling a ledger with {many:,} entries and keys")
        fill_ledger(stand.cluster, many_keys, many, keys=True)
        few = stack.enter_context(stand.tally("adder", few_keys)).url + ENTRIES
        full = stack.enter_context(stand.tally("adder", many_keys)).url + ENTRIES
        rounds = stand.interleave(
            "keys",
            {
                "without": lambda: stand.load("add", few),
                "with": lambda: stand.load("add_with_key", few),
                "without, many stored": lambda: stand.load("add", full),
                "with, many stored": lambda: stand.load("add_with_key", full),
            },
        )
    stand.findings.add(FEW, rounds.ratio("with", "without"), rounds)
    stand.findings.add(
        MANY.about(count=many), rounds.ratio("with, many stored", "without, many stored"), rounds
    )
