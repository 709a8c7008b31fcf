"""What an Idempotency-Key costs, with few keys stored and with many, and on the disk."""

from contextlib import ExitStack

from bench.filling import fill_ledger
from bench.goals import Measure, at_least
from bench.runner import ENTRIES, Runner, progress

FEW = Measure(
    "keys",
    "single adds with distinct Idempotency-Keys, against without",
    must=at_least(0.8),
    aim=at_least(0.95),
)
MANY = Measure("keys/many", "... with {count:,} keys stored", must=at_least(0.8), aim=at_least(0.9))
_SIZE = "pg_total_relation_size('{}')"


def run(runner: Runner) -> None:
    """With and without keys, on an empty ledger and on one full of keys."""
    many = runner.pace.many
    with ExitStack() as stack:
        few_keys = stack.enter_context(runner.ledger("keys"))
        many_keys = stack.enter_context(runner.ledger("many-keys"))
        progress(f"filling a ledger with {many:,} entries and keys")
        fill_ledger(runner.cluster, many_keys, many, keys=True)
        runner.findings.series["bytes"] = {
            each: runner.cluster.value(many_keys, f"SELECT {_SIZE.format(table)} / {many}")
            for each, table in (("entry", "tally.entry"), ("key", "tally.answer"))
        }
        few = stack.enter_context(runner.tally("adder", few_keys)).url + ENTRIES
        full = stack.enter_context(runner.tally("adder", many_keys)).url + ENTRIES
        rounds = runner.interleave(
            "keys",
            {
                # With another header in the key's place, which costs the load generator as much.
                "without": lambda: runner.load("add_with_header", few),
                "with": lambda: runner.load("add_with_key", few),
                "without, many stored": lambda: runner.load("add_with_header", full),
                "with, many stored": lambda: runner.load("add_with_key", full),
            },
        )
    runner.findings.add(FEW, rounds.ratio("with", "without"), rounds)
    runner.findings.add(
        MANY.about(count=many), rounds.ratio("with, many stored", "without, many stored"), rounds
    )
