-- What the roles may call refuses what its service would never send, so that whoever stole a
-- service's role can store nothing that contradicts itself.

-- The keys of resets that found nothing to clear: a repeat gets the same answer, whatever was
-- added since, and no reset is made of them.
CREATE TABLE tally.empty_reset (
    key uuid NOT NULL,
    at timestamptz NOT NULL,
    CONSTRAINT empty_reset_pkey PRIMARY KEY (key)
);

-- Resets of nothing, made before there were none: they must not stand before the one to undo.
UPDATE tally.reset SET undone_at = at, undone_after = cleared_through
 WHERE undone_at IS NULL AND count = 0;

CREATE OR REPLACE FUNCTION tally.register_writer(p_writer uuid) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF p_writer IS NULL THEN
        RAISE EXCEPTION 'a writer needs an id' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    INSERT INTO tally.writer (id) VALUES (p_writer) ON CONFLICT DO NOTHING;
END
$$;

-- Add a batch of values and keep the answers to the requests in it that have a key.
-- Lists are array literals in text, which both sides handle much faster than typed arrays.
-- p_firsts and p_lasts place each keyed request's values within the batch, from 1: requests follow
-- each other, and none has a value of another.
-- Returns the total before the batch, or no row where the batch is not the writer's next: then
-- nothing was done. Raises unique_violation where a key was answered before, and
-- invalid_parameter_value for what no adder sends.
CREATE OR REPLACE FUNCTION tally.add_batch(
    p_writer uuid, p_batch bigint, p_values text,
    p_keys text, p_bodies text, p_firsts text, p_lasts text
) RETURNS TABLE (before_id bigint, before_sum numeric, before_count bigint)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    batch_values numeric[] := p_values;
    size CONSTANT int := cardinality(batch_values);
    keys uuid[] := p_keys;
    bodies uuid[] := p_bodies;
    firsts bigint[] := p_firsts;
    lasts bigint[] := p_lasts;
    was tally.total%ROWTYPE;
    moment timestamptz;
    kept bigint;
BEGIN
    -- 10,000 is what an adder puts in a batch.
    IF (size BETWEEN 1 AND 10000) IS NOT TRUE THEN
        RAISE EXCEPTION 'a batch has 1 to 10000 values'
              USING ERRCODE = 'invalid_parameter_value';
    END IF;
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
          FROM unnest(batch_values) WITH ORDINALITY AS v (value, n)
        RETURNING id, sum_after
    ), answered AS (
        INSERT INTO tally.answer (key, body, first_id, last_id, sum, count)
        SELECT k.key, k.body, was.last_id + k.first, was.last_id + k.last,
               added.sum_after, was.count + k.last
          FROM unnest(keys, bodies, firsts, lasts)
               WITH ORDINALITY AS k (key, body, first, last, n)
          JOIN added ON added.id = was.last_id + k.last
         WHERE k.key IS NOT NULL AND k.body IS NOT NULL AND k.first <= k.last
           AND k.first > CASE k.n WHEN 1 THEN 0 ELSE lasts[k.n - 1] END
        RETURNING 1
    )
    UPDATE tally.total AS t
       SET last_id = newest.id, count = was.count + newest.id - was.last_id, sum = newest.sum_after
      FROM (SELECT a.id, a.sum_after FROM added AS a ORDER BY a.id DESC LIMIT 1) AS newest
    RETURNING (SELECT count(*) FROM answered) INTO kept;
    -- All is undone: an answer that was left out does not fit its batch.
    IF kept <> greatest(cardinality(keys), cardinality(bodies), cardinality(firsts),
                        cardinality(lasts)) THEN
        RAISE EXCEPTION 'each key has a body and a range of the batch after that of the key before'
              USING ERRCODE = 'invalid_parameter_value';
    END IF;
    RETURN QUERY SELECT was.last_id, was.sum, was.count;
END
$$;

-- Give back what the newest reset not yet undone cleared. Raises TA001 for any other reset and
-- TA002 where entries that it cleared were purged.
CREATE OR REPLACE FUNCTION tally.undo_reset(p_id bigint)
RETURNS TABLE (id bigint, sum numeric, count bigint, at timestamptz, undone_at timestamptz)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    was tally.total%ROWTYPE;
    undone tally.reset%ROWTYPE;
BEGIN
    IF p_id IS NULL THEN
        RAISE EXCEPTION 'an undo names a reset' USING ERRCODE = 'invalid_parameter_value';
    END IF;
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

-- End the sessions that keep the total's row locked, and return how many. A session may lift every
-- timeout for itself, so those who wait bound it: no service holds the row for as long as two
-- seconds. Spared are the owner, whoever waits for the row, and a commit that waits for a standby,
-- which is durable on no standby if it is ended.
-- The owner of this function needs their roles, or pg_signal_backend.
CREATE FUNCTION tally.free_total() RETURNS bigint
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    -- Who is active is otherwise read once a transaction, and the caller may call twice in one.
    SELECT pg_stat_clear_snapshot();
    SELECT count(*) FILTER (WHERE pg_terminate_backend(a.pid))
      FROM pg_stat_activity AS a
     WHERE a.usename IN ('tally_adder', 'tally_display', 'tally_reset', 'tally_operator')
       AND a.datname = current_database()
       AND a.xact_start < clock_timestamp() - interval '2 s'
       AND a.wait_event_type IS DISTINCT FROM 'Lock'
       AND a.wait_event IS DISTINCT FROM 'SyncRep'
       AND (pg_has_role(a.usesysid, 'USAGE') OR pg_has_role('pg_signal_backend', 'USAGE'))
       AND EXISTS (SELECT FROM pg_locks AS l
                    WHERE l.pid = a.pid AND l.relation = 'tally.total'::regclass
                      AND l.mode IN ('RowShareLock', 'RowExclusiveLock') AND l.granted);
END;

REVOKE EXECUTE ON ALL FUNCTIONS IN SCHEMA tally FROM PUBLIC;
