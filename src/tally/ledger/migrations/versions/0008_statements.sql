-- Add a batch of values and keep the answers to the requests in it that have a key.
-- Lists are array literals in text, which both sides handle much faster than typed arrays.
-- p_firsts and p_lasts place each keyed request's values within the batch, from 1: requests follow
-- each other, and none has a value of another.
-- Returns the total before the batch, or no row where the batch is not the writer's next: then
-- nothing was done. Raises unique_violation where a key was answered before, and
-- invalid_parameter_value for what no adder sends.
-- Several statements, each planned once, cost less than one that hands rows from part to part.
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
    keyed CONSTANT int := greatest(cardinality(keys), cardinality(bodies), cardinality(firsts),
                                   cardinality(lasts));
    was tally.total%ROWTYPE;
    moment timestamptz;
    kept int;
    newest numeric;
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
    INSERT INTO tally.entry (id, value, sum_after, added_at)
    SELECT was.last_id + v.n, v.value,
           was.sum + sum(v.value) OVER (ORDER BY v.n ROWS UNBOUNDED PRECEDING), moment
      FROM unnest(batch_values) WITH ORDINALITY AS v (value, n);
    IF keyed > 0 THEN
        INSERT INTO tally.answer (key, body, first_id, last_id, sum, count)
        SELECT k.key, k.body, was.last_id + k.first, was.last_id + k.last, e.sum_after,
               was.count + k.last
          FROM unnest(keys, bodies, firsts, lasts)
               WITH ORDINALITY AS k (key, body, first, last, n)
          JOIN tally.entry AS e ON e.id = was.last_id + k.last
         WHERE k.key IS NOT NULL AND k.body IS NOT NULL AND k.first <= k.last
           AND k.first > CASE k.n WHEN 1 THEN 0 ELSE lasts[k.n - 1] END;
        GET DIAGNOSTICS kept = ROW_COUNT;
        -- All is undone: an answer that was left out does not fit its batch.
        IF kept <> keyed THEN
            RAISE EXCEPTION 'each key has a body and a range of the batch after that of the key before'
                  USING ERRCODE = 'invalid_parameter_value';
        END IF;
    END IF;
    SELECT e.sum_after INTO STRICT newest FROM tally.entry AS e WHERE e.id = was.last_id + size;
    UPDATE tally.total AS t
       SET last_id = was.last_id + size, count = was.count + size, sum = newest;
    RETURN QUERY SELECT was.last_id, was.sum, was.count;
END
$$;
