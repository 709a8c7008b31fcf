-- The only ways to change the ledger. They run with the owner's rights, so that a service needs no
-- right on the tables it changes: the adder can add and nothing else, even from psql.
-- Those that change the total lock its row first: all changes are in one order and none deadlock.

CREATE FUNCTION tally.register_writer(p_writer uuid) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    INSERT INTO tally.writer (id) VALUES (p_writer) ON CONFLICT DO NOTHING;
END;

-- Add a batch of values and keep the answers to the requests in it that have a key.
-- Lists are array literals in text, which both sides handle much faster than typed arrays.
-- p_firsts and p_lasts place each keyed request's values within the batch, from 1.
-- Returns the total before the batch, or no row where the batch is not the writer's next: then
-- nothing was done. Raises unique_violation where a key was answered before.
CREATE FUNCTION tally.add_batch(
    p_writer uuid, p_batch bigint, p_values text,
    p_keys text, p_bodies text, p_firsts text, p_lasts text
) RETURNS TABLE (before_id bigint, before_sum numeric, before_count bigint)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    was tally.total%ROWTYPE;
    moment timestamptz;
BEGIN
    SELECT * INTO STRICT was FROM tally.total FOR UPDATE;
    UPDATE tally.writer AS w
       SET batch = p_batch, before_id = was.last_id, before_sum = was.sum, before_count = was.count
     WHERE w.id = p_writer AND w.batch = p_batch - 1;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    -- Read after the lock was had, so that times follow the order of ids.
    moment := clock_timestamp();
    WITH added AS (
        INSERT INTO tally.entry (id, value, sum_after, added_at)
        SELECT was.last_id + v.n, v.value,
               was.sum + sum(v.value) OVER (ORDER BY v.n ROWS UNBOUNDED PRECEDING), moment
          FROM unnest(p_values::numeric[]) WITH ORDINALITY AS v (value, n)
        RETURNING id, sum_after
    ), answered AS (
        INSERT INTO tally.answer (key, body, first_id, last_id, sum, count)
        SELECT k.key, k.body, was.last_id + k.first, was.last_id + k.last,
               added.sum_after, was.count + k.last
          FROM unnest(p_keys::uuid[], p_bodies::uuid[], p_firsts::bigint[], p_lasts::bigint[])
               AS k (key, body, first, last)
          JOIN added ON added.id = was.last_id + k.last
    )
    UPDATE tally.total AS t
       SET last_id = newest.id, count = was.count + newest.id - was.last_id, sum = newest.sum_after
      FROM (SELECT a.id, a.sum_after FROM added AS a ORDER BY a.id DESC LIMIT 1) AS newest;
    RETURN QUERY SELECT was.last_id, was.sum, was.count;
END
$$;

-- Say what became of a batch whose connection was lost, and make that final: if it was not
-- committed it never will be. Returns the total before the batch, or nulls if it was given up.
CREATE FUNCTION tally.settle_batch(p_writer uuid, p_batch bigint)
RETURNS TABLE (before_id bigint, before_sum numeric, before_count bigint)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    -- Waits for a backend that is still at work on the batch.
    UPDATE tally.writer AS w
       SET batch = p_batch, before_id = NULL, before_sum = NULL, before_count = NULL
     WHERE w.id = p_writer AND w.batch = p_batch - 1;
    RETURN QUERY SELECT w.before_id, w.before_sum, w.before_count
                   FROM tally.writer AS w WHERE w.id = p_writer AND w.batch = p_batch;
END
$$;

-- The first answers given to these keys. `value` is null where the entry was purged.
CREATE FUNCTION tally.recall(p_keys text)
RETURNS TABLE (key uuid, body uuid, first_id bigint, last_id bigint, sum numeric, count bigint,
               value numeric)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT a.key, a.body, a.first_id, a.last_id, a.sum, a.count, e.value
      FROM tally.answer AS a LEFT JOIN tally.entry AS e ON e.id = a.first_id
     WHERE a.key = ANY (p_keys::uuid[]);
END;

CREATE FUNCTION tally.reset_total(p_key uuid)
RETURNS TABLE (id bigint, sum numeric, count bigint, at timestamptz, replayed boolean)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    was tally.total%ROWTYPE;
BEGIN
    SELECT * INTO STRICT was FROM tally.total FOR UPDATE;
    RETURN QUERY SELECT r.id, r.sum, r.count, r.at, true FROM tally.reset AS r WHERE r.key = p_key;
    IF FOUND THEN
        RETURN;
    END IF;
    UPDATE tally.total AS t SET sum = 0, count = 0, cleared_through = t.last_id;
    RETURN QUERY
        INSERT INTO tally.reset AS r (id, sum, count, cleared_from, cleared_through, at, key)
        SELECT coalesce(max(o.id), 0) + 1, was.sum, was.count, was.cleared_through, was.last_id,
               clock_timestamp(), p_key
          FROM tally.reset AS o
        RETURNING r.id, r.sum, r.count, r.at, false;
END
$$;

-- Give back what the newest reset not yet undone cleared. Raises TA001 for any other reset and
-- TA002 where entries that it cleared were purged.
CREATE FUNCTION tally.undo_reset(p_id bigint)
RETURNS TABLE (id bigint, sum numeric, count bigint, at timestamptz, undone_at timestamptz)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    was tally.total%ROWTYPE;
    undone tally.reset%ROWTYPE;
BEGIN
    SELECT * INTO STRICT was FROM tally.total FOR UPDATE;
    SELECT * INTO undone FROM tally.reset AS r WHERE r.undone_at IS NULL
     ORDER BY r.id DESC LIMIT 1;
    IF undone.id IS DISTINCT FROM p_id THEN
        RAISE EXCEPTION 'reset % is not the newest reset not yet undone', p_id
              USING ERRCODE = 'TA001';
    END IF;
    IF undone.cleared_from < was.purged_through THEN
        RAISE EXCEPTION 'entries cleared by reset % were purged', p_id USING ERRCODE = 'TA002';
    END IF;
    UPDATE tally.total AS t
       SET sum = t.sum + undone.sum, count = t.count + undone.count,
           cleared_through = undone.cleared_from;
    RETURN QUERY
        UPDATE tally.reset AS r SET undone_at = clock_timestamp(), undone_after = was.last_id
         WHERE r.id = p_id
        RETURNING r.id, r.sum, r.count, r.at, r.undone_at;
END
$$;

REVOKE EXECUTE ON ALL FUNCTIONS IN SCHEMA tally FROM PUBLIC;
