-- The tables of insert.sql and insert_and_total.sql. The total has room on its page for new
-- versions of its row, as Tally's own has.
CREATE TABLE entry (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    value numeric NOT NULL,
    added_at timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE total (
    sum numeric NOT NULL,
    count bigint NOT NULL
) WITH (fillfactor = 10);
INSERT INTO total VALUES (0, 0);
