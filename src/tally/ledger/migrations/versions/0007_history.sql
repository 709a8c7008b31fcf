-- Entries that were undone, each by an entry of the opposite value: nothing is edited or deleted.
-- Kept for ever with the first answer, as the answers to keys are.
CREATE TABLE tally.correction (
    entry_id bigint NOT NULL,
    undone_by bigint NOT NULL,
    value numeric NOT NULL,
    sum numeric NOT NULL,
    count bigint NOT NULL,
    CONSTRAINT correction_pkey PRIMARY KEY (entry_id),
    CONSTRAINT correction_undone_by_key UNIQUE (undone_by),
    CONSTRAINT correction_order CHECK (0 < entry_id AND entry_id < undone_by),
    CONSTRAINT correction_value CHECK (value > -1e18 AND value < 1e18 AND scale(value) <= 9),
    CONSTRAINT correction_sum CHECK (sum > -1e29 AND sum < 1e29 AND scale(sum) <= 9)
);

-- Add the opposite of a current entry, once: whoever calls again gets the first answer. Raises TA003
-- where there is no such entry, TA004 where it was purged, and TA005 where it was cleared.
CREATE FUNCTION tally.undo_entry(p_id bigint)
RETURNS TABLE (id bigint, value numeric, sum numeric, count bigint, replayed boolean)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    was tally.total%ROWTYPE;
    opposite numeric;
BEGIN
    IF p_id IS NULL THEN
        RAISE EXCEPTION 'an undo names an entry' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    SELECT * INTO STRICT was FROM tally.total FOR UPDATE;
    RETURN QUERY SELECT c.undone_by, c.value, c.sum, c.count, true
                   FROM tally.correction AS c WHERE c.entry_id = p_id;
    IF FOUND THEN
        PERFORM tally.confirm();
        RETURN;
    END IF;
    IF p_id NOT BETWEEN 1 AND was.last_id THEN
        RAISE EXCEPTION 'there is no entry %', p_id USING ERRCODE = 'TA003';
    ELSIF p_id <= was.purged_through THEN
        RAISE EXCEPTION 'entry % was purged', p_id USING ERRCODE = 'TA004';
    ELSIF p_id <= was.cleared_through THEN
        RAISE EXCEPTION 'entry % was cleared by reset %', p_id,
              (SELECT r.id FROM tally.reset AS r
                WHERE r.undone_at IS NULL AND r.cleared_from < p_id AND p_id <= r.cleared_through)
              USING ERRCODE = 'TA005';
    END IF;
    SELECT -e.value INTO STRICT opposite FROM tally.entry AS e WHERE e.id = p_id;
    INSERT INTO tally.entry (id, value, sum_after, added_at)
    VALUES (was.last_id + 1, opposite, was.sum + opposite, clock_timestamp());
    UPDATE tally.total AS t
       SET last_id = was.last_id + 1, count = was.count + 1, sum = was.sum + opposite;
    RETURN QUERY
        INSERT INTO tally.correction AS c (entry_id, undone_by, value, sum, count)
        VALUES (p_id, was.last_id + 1, opposite, was.sum + opposite, was.count + 1)
        RETURNING c.undone_by, c.value, c.sum, c.count, false;
END
$$;

-- What moved the total without an entry: each reset and each undo of one, in order, right after the
-- entry `after_id`.
CREATE TABLE tally.move (
    id bigint NOT NULL,
    reset_id bigint NOT NULL,
    undo boolean NOT NULL,
    after_id bigint NOT NULL,
    count bigint NOT NULL,
    value numeric NOT NULL,
    sum_after numeric NOT NULL,
    at timestamptz NOT NULL,
    CONSTRAINT move_pkey PRIMARY KEY (id),
    CONSTRAINT move_reset_id_undo_key UNIQUE (reset_id, undo),
    CONSTRAINT move_value CHECK (value > -1e29 AND value < 1e29 AND scale(value) <= 9),
    CONSTRAINT move_sum_after
        CHECK (sum_after > -1e29 AND sum_after < 1e29 AND scale(sum_after) <= 9)
);
CREATE INDEX move_after_id_id_idx ON tally.move (after_id, id);

-- Of the resets and undos that there are, those that a purge left entries or a sum to count from.
-- Times may lie, so their order comes from the ids: right after a reset that nothing was added to,
-- only that reset can be undone. Thus an undo follows the last reset of its place that cleared what
-- lies above its own.
INSERT INTO tally.move
WITH begun AS (
    SELECT id AS after_id, sum_after FROM tally.entry
    UNION ALL SELECT purged_through, purged_sum FROM tally.total
), moved AS (
    SELECT id AS reset_id, false AS undo, cleared_through AS after_id, count, -sum AS value, at,
           id AS place
      FROM tally.reset WHERE count > 0
    UNION ALL
    SELECT u.id, true, u.undone_after, u.count, u.sum, u.undone_at,
           greatest(max(r.id), CASE u.cleared_through WHEN u.undone_after THEN u.id END)
      FROM tally.reset AS u
      LEFT JOIN tally.reset AS r
             ON r.cleared_through = u.undone_after AND r.cleared_from > u.cleared_from
            AND r.count > 0
     WHERE u.undone_at IS NOT NULL AND u.count > 0 GROUP BY u.id
)
SELECT row_number() OVER (ORDER BY after_id, place NULLS FIRST, undo, -reset_id),
       reset_id, undo, after_id, count, value,
       sum_after + sum(value) OVER (PARTITION BY after_id ORDER BY place NULLS FIRST, undo, -reset_id),
       at
  FROM moved JOIN begun USING (after_id);

CREATE FUNCTION tally.note_move() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    INSERT INTO tally.move (id, reset_id, undo, after_id, count, value, sum_after, at)
    SELECT coalesce((SELECT max(m.id) FROM tally.move AS m), 0) + 1, NEW.id, TG_OP = 'UPDATE',
           t.last_id, NEW.count, CASE TG_OP WHEN 'UPDATE' THEN NEW.sum ELSE -NEW.sum END, t.sum,
           CASE TG_OP WHEN 'UPDATE' THEN NEW.undone_at ELSE NEW.at END
      FROM tally.total AS t;
    RETURN NULL;
END
$$;

-- By triggers, so that the functions of older migrations, and whoever repairs by hand, note it too.
-- A restore copies moves as well as resets: while it does, there is no total, and nothing is noted.
CREATE TRIGGER note_reset AFTER INSERT ON tally.reset
   FOR EACH ROW WHEN (NEW.count > 0) EXECUTE FUNCTION tally.note_move();
CREATE TRIGGER note_undo AFTER UPDATE OF undone_at ON tally.reset
   FOR EACH ROW WHEN (NEW.count > 0 AND OLD.undone_at IS NULL AND NEW.undone_at IS NOT NULL)
   EXECUTE FUNCTION tally.note_move();

-- What happened in each stretch of `size` ids that ends with `last_id`: from right after the entry
-- before its first, with the resets and undos that came there, up to its last entry. So a stretch
-- never changes once it is complete. Whatever clocks said, no stretch begins before another ended.
CREATE TABLE tally.stretch (
    size bigint NOT NULL,
    last_id bigint NOT NULL,
    first_at timestamptz NOT NULL,
    first_after bigint NOT NULL,
    first_move bigint NOT NULL,
    first_sum numeric NOT NULL,
    low_at timestamptz NOT NULL,
    low_after bigint NOT NULL,
    low_move bigint NOT NULL,
    low_sum numeric NOT NULL,
    high_at timestamptz NOT NULL,
    high_after bigint NOT NULL,
    high_move bigint NOT NULL,
    high_sum numeric NOT NULL,
    last_at timestamptz NOT NULL,
    last_sum numeric NOT NULL,
    CONSTRAINT stretch_pkey PRIMARY KEY (size, last_id),
    CONSTRAINT stretch_first_sum
        CHECK (first_sum > -1e29 AND first_sum < 1e29 AND scale(first_sum) <= 9),
    CONSTRAINT stretch_low_sum CHECK (low_sum > -1e29 AND low_sum < 1e29 AND scale(low_sum) <= 9),
    CONSTRAINT stretch_high_sum
        CHECK (high_sum > -1e29 AND high_sum < 1e29 AND scale(high_sum) <= 9),
    CONSTRAINT stretch_last_sum
        CHECK (last_sum > -1e29 AND last_sum < 1e29 AND scale(last_sum) <= 9)
);

-- Complete all stretches up to an id: the smallest from entries and moves, each larger one from
-- sixteen. Small steps, which PostgreSQL plans once: every 256th add waits for this.
CREATE FUNCTION tally.roll_up(p_through bigint) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    begun bigint;
    latest timestamptz;
    until timestamptz;
    entries bigint;
    before bigint;
    m tally.move%ROWTYPE;
    s tally.stretch%ROWTYPE;
BEGIN
    SELECT o.last_id, o.last_at INTO begun, latest
      FROM tally.stretch AS o WHERE o.size = 256 ORDER BY o.last_id DESC LIMIT 1;
    begun := coalesce(begun, (SELECT t.purged_through / 256 * 256 FROM tally.total AS t));
    s.size := 256;
    FOR last_id IN begun + 256 .. p_through BY 256 LOOP
        s.last_id := last_id;
        before := last_id - 256;
        SELECT count(*), max(e.added_at), min(e.sum_after), max(e.sum_after)
          INTO entries, until, s.low_sum, s.high_sum
          FROM tally.entry AS e WHERE e.id > before AND e.id <= last_id;
        CONTINUE WHEN entries < 256;  -- a part was purged
        SELECT e.id, 0, e.added_at, e.sum_after
          INTO s.first_after, s.first_move, s.first_at, s.first_sum
          FROM tally.entry AS e WHERE e.id = before + 1;
        SELECT e.id, 0, e.added_at INTO s.low_after, s.low_move, s.low_at FROM tally.entry AS e
         WHERE e.id > before AND e.id <= last_id AND e.sum_after = s.low_sum ORDER BY e.id LIMIT 1;
        SELECT e.id, 0, e.added_at INTO s.high_after, s.high_move, s.high_at FROM tally.entry AS e
         WHERE e.id > before AND e.id <= last_id AND e.sum_after = s.high_sum ORDER BY e.id LIMIT 1;
        SELECT e.sum_after INTO s.last_sum FROM tally.entry AS e WHERE e.id = last_id;
        FOR m IN SELECT * FROM tally.move AS o
                  WHERE o.after_id >= before AND o.after_id < last_id ORDER BY o.id LOOP
            IF m.after_id < s.first_after THEN
                s.first_after := m.after_id; s.first_move := m.id;
                s.first_at := m.at; s.first_sum := m.sum_after;
            END IF;
            IF m.sum_after < s.low_sum OR m.sum_after = s.low_sum AND m.after_id < s.low_after THEN
                s.low_after := m.after_id; s.low_move := m.id;
                s.low_at := m.at; s.low_sum := m.sum_after;
            END IF;
            IF m.sum_after > s.high_sum OR m.sum_after = s.high_sum AND m.after_id < s.high_after THEN
                s.high_after := m.after_id; s.high_move := m.id;
                s.high_at := m.at; s.high_sum := m.sum_after;
            END IF;
            until := greatest(until, m.at);
        END LOOP;
        s.first_at := greatest(latest, s.first_at);
        s.low_at := greatest(s.first_at, s.low_at);
        s.high_at := greatest(s.first_at, s.high_at);
        latest := greatest(latest, until);
        s.last_at := latest;
        INSERT INTO tally.stretch SELECT s.*;
    END LOOP;
    s.size := 4096;
    WHILE begun / s.size < p_through / s.size LOOP
        INSERT INTO tally.stretch
        SELECT s.size, max(o.last_id),
               min(o.first_at), min(o.first_after),
               (array_agg(o.first_move ORDER BY o.last_id))[1],
               (array_agg(o.first_sum ORDER BY o.last_id))[1],
               (array_agg(o.low_at ORDER BY o.low_sum, o.last_id))[1],
               (array_agg(o.low_after ORDER BY o.low_sum, o.last_id))[1],
               (array_agg(o.low_move ORDER BY o.low_sum, o.last_id))[1], min(o.low_sum),
               (array_agg(o.high_at ORDER BY o.high_sum DESC, o.last_id))[1],
               (array_agg(o.high_after ORDER BY o.high_sum DESC, o.last_id))[1],
               (array_agg(o.high_move ORDER BY o.high_sum DESC, o.last_id))[1], max(o.high_sum),
               max(o.last_at), (array_agg(o.last_sum ORDER BY o.last_id DESC))[1]
          FROM tally.stretch AS o
         WHERE o.size = s.size / 16
           AND o.last_id > coalesce(
                   (SELECT max(l.last_id) FROM tally.stretch AS l WHERE l.size = s.size), 0)
         GROUP BY (o.last_id - 1) / s.size HAVING count(*) = 16;
        s.size := s.size * 16;
    END LOOP;
END
$$;

CREATE FUNCTION tally.complete_stretches() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM tally.roll_up(NEW.last_id);
    RETURN NULL;
END
$$;

SELECT tally.roll_up(last_id) FROM tally.total;
CREATE TRIGGER complete_stretches AFTER UPDATE OF last_id ON tally.total
   FOR EACH ROW WHEN (OLD.last_id / 256 < NEW.last_id / 256)
   EXECUTE FUNCTION tally.complete_stretches();

REVOKE EXECUTE ON ALL FUNCTIONS IN SCHEMA tally FROM PUBLIC;
