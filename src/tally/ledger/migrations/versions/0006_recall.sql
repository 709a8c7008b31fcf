-- Each key by its index, whatever the tables' statistics say. In a ledger that grew since they were
-- taken, or has none yet, PostgreSQL compared each of thousands of keys with every row.
ALTER FUNCTION tally.recall(text) SET enable_seqscan = off;
ALTER FUNCTION tally.recall(text) SET enable_hashjoin = off;
ALTER FUNCTION tally.recall(text) SET enable_mergejoin = off;
