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
        *((_DEFINER, "SET search_path = pg_catalog, pg_temp", place) for place in (0, 2, 3)),
        *((_DEFINER, "SECURITY DEFINER", place) for place in (0, 2, 3)),
        # register_writer
        ("p_writer IS NULL", "false"),
        (" ON CONFLICT DO NOTHING", ""),
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
        "0007_history.sql",
        *((_DEFINER, "SET search_path = pg_catalog, pg_temp", place) for place in range(4)),
        *((_DEFINER, "SECURITY DEFINER", place) for place in range(4)),
        # undo_entry
        ("p_id IS NULL", "false"),
        ("tally.total FOR UPDATE", "tally.total"),
        ("c.entry_id = p_id", "c.undone_by = p_id"),
        ("PERFORM tally.confirm();", ""),
        ("NOT BETWEEN 1 AND was.last_id", "> was.last_id"),
        ("NOT BETWEEN 1 AND was.last_id", "< 1"),
        ("p_id <= was.purged_through", "p_id < was.purged_through"),
        ("p_id <= was.cleared_through", "p_id < was.cleared_through"),
        ("r.undone_at IS NULL AND r.cleared_from", "r.cleared_from"),
        ("r.cleared_from < p_id", "r.cleared_from <= p_id"),
        ("p_id <= r.cleared_through", "p_id < r.cleared_through"),
        ("ERRCODE = 'TA003'", "ERRCODE = 'TA004'"),
        ("ERRCODE = 'TA004'", "ERRCODE = 'TA003'"),
        ("ERRCODE = 'TA005'", "ERRCODE = 'TA003'"),
        ("SELECT -e.value", "SELECT e.value"),
        ("was.sum + opposite, clock_timestamp()", "was.sum + opposite, now()"),
        ("count = was.count + 1, sum", "count = was.count, sum"),
        ("was.count + 1)\n        RETURNING", "was.count)\n        RETURNING"),
        # note_move, and when it is called
        ("TG_OP = 'UPDATE',", "false,"),
        ("ELSE -NEW.sum", "ELSE NEW.sum"),
        ("THEN NEW.undone_at", "THEN NEW.at"),
        ("FOR EACH ROW WHEN (NEW.count > 0) EXECUTE", "FOR EACH ROW EXECUTE"),
        ("NEW.count > 0 AND OLD.undone_at", "OLD.undone_at"),
        # roll_up
        ("t.purged_through / 256 * 256", "t.purged_through"),
        ("entries < 256;", "entries < 1;"),
        ("s.low_sum ORDER BY e.id LIMIT 1", "s.low_sum ORDER BY e.id DESC LIMIT 1"),
        ("s.high_sum ORDER BY e.id LIMIT 1", "s.high_sum ORDER BY e.id DESC LIMIT 1"),
        ("o.after_id >= before", "o.after_id > before"),
        ("o.after_id < last_id ORDER", "o.after_id <= last_id ORDER"),
        ("IF m.after_id < s.first_after THEN", "IF false THEN"),
        ("m.sum_after < s.low_sum OR", "false OR"),
        (" OR m.sum_after = s.low_sum AND m.after_id < s.low_after", ""),
        ("m.sum_after > s.high_sum OR", "false OR"),
        (" OR m.sum_after = s.high_sum AND m.after_id < s.high_after", ""),
        ("until := greatest(until, m.at);", ""),
        ("s.first_at := greatest(latest, s.first_at);", ""),
        ("s.low_at := greatest(s.first_at, s.low_at);", ""),
        ("s.high_at := greatest(s.first_at, s.high_at);", ""),
        ("latest := greatest(latest, until);", "latest := until;"),
        ("min(o.first_at)", "max(o.first_at)"),
        ("o.first_move ORDER BY o.last_id)", "o.first_move ORDER BY o.last_id DESC)"),
        ("o.first_sum ORDER BY o.last_id)", "o.first_sum ORDER BY o.last_id DESC)"),
        *(
            (f"(o.{extreme}_{column} ORDER BY o.{extreme}_sum", f"(o.{extreme}_{column} ORDER BY 1")
            for extreme in ("low", "high")
            for column in ("at", "after", "move")
        ),
        ("min(o.low_sum)", "max(o.low_sum)"),
        ("max(o.high_sum)", "min(o.high_sum)"),
        ("max(o.last_at)", "min(o.last_at)"),
        ("(o.last_sum ORDER BY o.last_id DESC)", "(o.last_sum ORDER BY o.last_id)"),
        ("GROUP BY (o.last_id - 1) / s.size", "GROUP BY o.last_id / s.size"),
        (" HAVING count(*) = 16", ""),
    ),
    *_mutations(
        "0008_statements.sql",
        (_DEFINER, "SET search_path = pg_catalog, pg_temp"),
        (_DEFINER, "SECURITY DEFINER"),
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
        ("last_id = was.last_id + size, count", "last_id = was.last_id, count"),
        ("count = was.count + size", "count = was.last_id + size"),
        ("sum = newest", "sum = was.sum"),
        ("e.id = was.last_id + size", "e.id = was.last_id + 1"),
        ("e.id = was.last_id + k.last", "e.id = was.last_id + k.first"),
        ("kept <> keyed", "kept > keyed"),
        ("greatest(cardinality(keys), ", "greatest("),
        ("cardinality(bodies), ", ""),
        ("cardinality(firsts),", ""),
        (",\n                                   cardinality(lasts))", ")"),
        ("SELECT was.last_id, was.sum, was.count;", "SELECT 0::bigint, was.sum, was.count;"),
        ("IF keyed > 0", "IF keyed > 1"),
    ),
    *_mutations(
        "roles.py",
        ('"tally_adder": "tally.total"', '"tally_adder": "tally.total, tally.entry"'),
        (', tally.stretch"', ', tally.stretch, tally.reset"'),
        ('"tally.total, tally.reset"', '"ALL TABLES IN SCHEMA tally"'),
        ('"undo_entry", "free_total"', '"undo_entry", "free_total", "confirm"'),
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
