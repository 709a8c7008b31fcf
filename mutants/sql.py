"""The changes that are made in the functions of the database, and in other SQL.

Each is a text that stands in a file, and what is written in its place. Of functions that a later
migration replaces, only the newest counts.
"""

from collections.abc import Iterator
from typing import Final, NamedTuple


class Mutation(NamedTuple):
    """`place` counts where the text stands more than once, from 0; a file is below `ledger`."""

    file: str
    was: str
    becomes: str
    place: int

    def made_in(self, text: str) -> str:
        """Raise `ValueError` where the text is not there any more."""
        at = -1
        for _ in range(self.place + 1):
            at = text.index(self.was, at + 1)
        return text[:at] + self.becomes + text[at + len(self.was) :]


def _mutations(file: str, *changes: tuple[str, str] | tuple[str, str, int]) -> Iterator[Mutation]:
    for was, becomes, *place in changes:
        yield Mutation(file, was, becomes, *(place or [0]))


_DEFINER: Final = "SECURITY DEFINER SET search_path = pg_catalog, pg_temp"

MUTATIONS: Final = (
    *_mutations(
        "0002_roles.sql",
        # Every function runs as its owner, whatever the caller's search path says.
        *((_DEFINER, "SET search_path = pg_catalog, pg_temp", place) for place in range(4)),
        *((_DEFINER, "SECURITY DEFINER", place) for place in range(4)),
        # register_writer
        ("p_writer IS NULL", "false"),
        (" ON CONFLICT DO NOTHING", ""),
        # add_batch
        ("size BETWEEN 1", "size BETWEEN 0"),
        ("AND 10000)", "AND 9999)"),
        ("AND 10000)", "AND 10001)"),
        ("IS NOT TRUE", "IS FALSE"),
        ("tally.total FOR UPDATE", "tally.total"),
        ("before_id = was.last_id", "before_id = was.last_id + 1"),
        ("before_sum = was.sum", "before_sum = 0"),
        ("before_count = was.count", "before_count = was.last_id"),
        ("w.id = p_writer AND w.batch = p_batch - 1", "w.batch = p_batch - 1"),
        ("w.batch = p_batch - 1", "w.batch < p_batch"),
        ("w.batch = p_batch - 1", "w.batch <= p_batch AND w.batch >= p_batch - 1"),
        ("w.batch = p_batch - 1", "w.batch <> p_batch"),
        ("IF NOT FOUND THEN", "IF false THEN"),
        ("clock_timestamp()", "now()"),
        ("clock_timestamp()", "statement_timestamp()"),
        ("OVER (ORDER BY v.n ROWS UNBOUNDED PRECEDING)", "OVER ()"),
        (
            "SELECT k.key, k.body, was.last_id + k.first",
            "SELECT k.key, k.body, was.last_id + k.last",
        ),
        ("was.last_id + k.last,", "was.last_id + k.first,"),
        ("was.count + k.last", "was.count + k.first"),
        ("k.key IS NOT NULL AND ", ""),
        ("k.body IS NOT NULL AND ", ""),
        ("k.first <= k.last", "true"),
        ("k.first <= k.last", "k.first < k.last"),
        ("k.first > CASE", "k.first >= CASE"),
        ("THEN 0 ELSE", "THEN -1 ELSE"),
        ("lasts[k.n - 1]", "firsts[k.n - 1]"),
        ("last_id = newest.id, count", "last_id = was.last_id, count"),
        ("was.count + newest.id - was.last_id", "newest.id"),
        ("sum = newest.sum_after", "sum = was.sum"),
        ("a.id DESC LIMIT 1) AS newest", "a.id LIMIT 1) AS newest"),
        ("kept <> greatest", "kept > greatest"),
        ("greatest(cardinality(keys), ", "greatest("),
        ("cardinality(bodies), ", ""),
        ("cardinality(firsts),", ""),
        (",\n                        cardinality(lasts))", ")"),
        ("SELECT was.last_id, was.sum, was.count;", "SELECT 0::bigint, was.sum, was.count;"),
        # undo_reset
        ("p_id IS NULL", "false"),
        ("tally.total FOR UPDATE", "tally.total", 1),
        ("AS r WHERE r.undone_at IS NULL", "AS r"),
        ("r.id DESC LIMIT 1;", "r.id LIMIT 1;"),
        ("undone.id IS DISTINCT FROM p_id", "undone.id <> p_id"),
        ("undone.cleared_from < was.purged_through", "undone.cleared_from <= was.purged_through"),
        ("undone.cleared_from < was.purged_through", "false"),
        ("ERRCODE = 'TA001'", "ERRCODE = 'TA003'"),
        ("ERRCODE = 'TA002'", "ERRCODE = 'TA003'"),
        ("sum = t.sum + undone.sum", "sum = undone.sum"),
        ("count = t.count + undone.count", "count = undone.count"),
        ("cleared_through = undone.cleared_from", "cleared_through = undone.cleared_through"),
        ("undone_at = clock_timestamp()", "undone_at = now()"),
        ("undone_after = was.last_id", "undone_after = undone.cleared_through"),
        # free_total
        ("    SELECT pg_stat_clear_snapshot();\n", ""),
        *((f"'{role}', ", "", 0) for role in ("tally_adder", "tally_display", "tally_reset")),
        (", 'tally_operator')", ")"),
        ("       AND a.datname = current_database()\n", ""),
        ("interval '2 s'", "interval '20 s'"),
        ("interval '2 s'", "interval '0 s'"),
        ("       AND a.wait_event_type IS DISTINCT FROM 'Lock'\n", ""),
        ("       AND a.wait_event IS DISTINCT FROM 'SyncRep'\n", ""),
        ("       AND (pg_has_role(", "       AND (true OR pg_has_role("),
        (" OR pg_has_role('pg_signal_backend', 'USAGE')", ""),
        ("pg_has_role(a.usesysid, 'USAGE') OR ", ""),
        ("l.pid = a.pid AND ", ""),
        ("l.relation = 'tally.total'::regclass\n                      AND ", ""),
        ("'RowShareLock', ", ""),
        (", 'RowExclusiveLock'", ""),
        (" AND l.granted", ""),
    ),
    *_mutations(
        "0003_acknowledgements.sql",
        *((_DEFINER, "SET search_path = pg_catalog, pg_temp", place) for place in range(4)),
        *((_DEFINER, "SECURITY DEFINER", place) for place in range(4)),
        ("REVOKE EXECUTE ON ALL FUNCTIONS IN SCHEMA tally FROM PUBLIC;", ""),
        # confirm
        ("SELECT pg_logical_emit_message(true, 'tally', '');", ""),
        ("emit_message(true", "emit_message(false"),
        # settle_batch
        ("w.id = p_writer AND w.batch = p_batch - 1", "w.batch = p_batch - 1"),
        ("w.batch = p_batch - 1", "w.batch < p_batch"),
        ("w.batch = p_batch - 1", "w.batch <= p_batch"),
        ("before_id = NULL, ", ""),
        ("PERFORM tally.confirm();", ""),
        ("IF NOT FOUND THEN", "IF FOUND THEN"),
        ("WHERE w.id = p_writer AND w.batch = p_batch;", "WHERE w.id = p_writer;"),
        ("WHERE w.id = p_writer AND w.batch = p_batch;", "WHERE w.batch = p_batch;"),
        # recall
        ("LEFT JOIN", "JOIN"),
        ("e.id = a.first_id", "e.id = a.last_id"),
        ("PERFORM tally.confirm();", "", 1),
        ("IF FOUND THEN", "IF NOT FOUND THEN"),
        # reset_total
        ("p_key IS NULL", "false"),
        ("tally.total FOR UPDATE", "tally.total"),
        ("r.at, true", "r.at, false"),
        ("e.at, true", "e.at, false"),
        ("WHERE r.key = p_key\n        UNION ALL", "WHERE false\n        UNION ALL"),
        ("WHERE e.key = p_key;", "WHERE false;"),
        ("PERFORM tally.confirm();", "", 2),
        ("was.count = 0", "false"),
        ("was.count = 0", "was.sum = 0"),
        ("clock_timestamp()", "now()"),
        ("clock_timestamp()", "now()", 1),
        ("SET sum = 0, count = 0", "SET count = 0"),
        ("cleared_through = t.last_id", "cleared_through = t.cleared_through"),
        ("coalesce(max(o.id), 0) + 1", "1"),
        ("was.sum, was.count, was.cleared_through", "was.sum, was.count, 0"),
    ),
    *_mutations(
        "roles.py",
        ('"tally_adder": "tally.total"', '"tally_adder": "tally.total, tally.entry"'),
        ('"tally.total, tally.entry"', '"ALL TABLES IN SCHEMA tally"'),
        ('"tally.total, tally.reset"', '"ALL TABLES IN SCHEMA tally"'),
        ('"recall", "free_total"', '"recall", "free_total", "confirm"'),
        ('"tally_display": (AGE,)', '"tally_display": (AGE, "free_total")'),
        ('"reset_total", "undo_reset"', '"reset_total", "undo_reset", "recall"'),
        ('"tally_operator": (AGE,)', '"tally_operator": (AGE, "undo_reset")'),
        ('f"SELECT ON {', 'f"SELECT, UPDATE ON {'),
        ('"USAGE ON SCHEMA tally"', '"USAGE, CREATE ON SCHEMA tally"'),
        ("CREATE ROLE {role} LOGIN", "CREATE ROLE {role} LOGIN CREATEDB"),
    ),
    *_mutations("purge.py", (".with_for_update()", "")),
    *_mutations("migrate.py", ("IN SHARE ROW EXCLUSIVE MODE", "IN ACCESS SHARE MODE")),
)
