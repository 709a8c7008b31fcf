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

REVOKE EXECUTE ON ALL FUNCTIONS IN SCHEMA tally FROM PUBLIC;
