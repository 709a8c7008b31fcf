-- What is visible need not be durable: PostgreSQL ends a commit's wait for its synchronous standby
-- when the backend is ended or cancelled, and keeps the transaction (the documentation of
-- pg_cancel_backend's warning: "the transaction has already committed locally, but might not have
-- been replicated to the standby"). So whoever answers from what was read writes a record of its
-- own, whose commit waits for all that was written before it.

-- Write a record, so that the caller's transaction waits at its end as its database asks.
CREATE FUNCTION tally.confirm() RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT pg_logical_emit_message(true, 'tally', '');
END;

CREATE OR REPLACE FUNCTION tally.settle_batch(p_writer uuid, p_batch bigint)
RETURNS TABLE (before_id bigint, before_sum numeric, before_count bigint)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    -- Waits for a backend that is still at work on the batch.
    UPDATE tally.writer AS w
       SET batch = p_batch, before_id = NULL, before_sum = NULL, before_count = NULL
     WHERE w.id = p_writer AND w.batch = p_batch - 1;
    IF NOT FOUND THEN
        PERFORM tally.confirm();
    END IF;
    RETURN QUERY SELECT w.before_id, w.before_sum, w.before_count
                   FROM tally.writer AS w WHERE w.id = p_writer AND w.batch = p_batch;
END
$$;

CREATE OR REPLACE FUNCTION tally.recall(p_keys text)
RETURNS TABLE (key uuid, body uuid, first_id bigint, last_id bigint, sum numeric, count bigint,
               value numeric)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN QUERY
        SELECT a.key, a.body, a.first_id, a.last_id, a.sum, a.count, e.value
          FROM tally.answer AS a LEFT JOIN tally.entry AS e ON e.id = a.first_id
         WHERE a.key = ANY (p_keys::uuid[]);
    IF FOUND THEN
        PERFORM tally.confirm();
    END IF;
END
$$;

-- The reset's id is 0 where there was nothing to clear: then there is no reset, and nothing but
-- the key is kept.
CREATE OR REPLACE FUNCTION tally.reset_total(p_key uuid)
RETURNS TABLE (id bigint, sum numeric, count bigint, at timestamptz, replayed boolean)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    was tally.total%ROWTYPE;
BEGIN
    IF p_key IS NULL THEN
        RAISE EXCEPTION 'a reset needs a key' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    SELECT * INTO STRICT was FROM tally.total FOR UPDATE;
    RETURN QUERY
        SELECT r.id, r.sum, r.count, r.at, true FROM tally.reset AS r WHERE r.key = p_key
        UNION ALL
        SELECT 0::bigint, 0::numeric, 0::bigint, e.at, true
          FROM tally.empty_reset AS e WHERE e.key = p_key;
    IF FOUND THEN
        PERFORM tally.confirm();
        RETURN;
    END IF;
    IF was.count = 0 THEN
        RETURN QUERY
            INSERT INTO tally.empty_reset AS e (key, at) VALUES (p_key, clock_timestamp())
            RETURNING 0::bigint, 0::numeric, 0::bigint, e.at, false;
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

REVOKE EXECUTE ON ALL FUNCTIONS IN SCHEMA tally FROM PUBLIC;
