"""Ledgers of any size, made by SQL as the adder would have made them: `tally audit` is clean."""

from bench.database import Cluster

# Values of 0.25 to 999.25, so that sums are not trivial. A millisecond apart, up to now.
_ENTRIES = """
    INSERT INTO tally.entry (id, value, sum_after, added_at)
    SELECT n, value, sum(value) OVER (ORDER BY n ROWS UNBOUNDED PRECEDING),
           now() - ({count} - n) * interval '1 ms'
      FROM (SELECT n, n % 1000 + 0.25 AS value FROM generate_series(1::bigint, {count}) AS n) AS v
     ORDER BY n
"""
_TOTAL = """
    UPDATE tally.total SET sum = newest.sum_after, count = newest.id, last_id = newest.id
      FROM (SELECT id, sum_after FROM tally.entry ORDER BY id DESC LIMIT 1) AS newest
"""
# Keys are digests, thus evenly spread: so are random UUIDs. One for each entry.
_ANSWERS = """
    INSERT INTO tally.answer (key, body, first_id, last_id, sum, count)
    SELECT gen_random_uuid(), gen_random_uuid(), id, id, sum_after, id FROM tally.entry
"""
_NAIVE = """
    INSERT INTO entry (value, added_at)
    SELECT n % 1000 + 0.25, now() - ({count} - n) * interval '1 ms'
      FROM generate_series(1::bigint, {count}) AS n ORDER BY n
"""


def fill_ledger(cluster: Cluster, database: str, count: int, *, keys: bool = False) -> None:
    """Fill an empty ledger with entries, and if asked for with a key for each."""
    statements = [_ENTRIES.format(count=count), _TOTAL]
    if keys:
        statements.append(_ANSWERS)
    # Vacuum as autovacuum would have, and write all of it out, lest either happens while measuring.
    cluster.execute(database, *statements, "VACUUM (ANALYZE)", "CHECKPOINT")


def fill_naive(cluster: Cluster, database: str, count: int) -> None:
    """Fill the naive peer's table with the same values."""
    cluster.execute(database, _NAIVE.format(count=count), "VACUUM (ANALYZE)", "CHECKPOINT")
