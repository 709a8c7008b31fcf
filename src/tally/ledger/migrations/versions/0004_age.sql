-- How many seconds a standby may be behind its primary, at most. It is as new as
-- - the last commit that it replayed, or, when it has replayed none yet, its last checkpoint;
-- - the last message of its primary's, once all is replayed that the primary had by then. A receiver
--   that hears nothing says nothing new: a dead network or a stalled process shows as age. Only
--   some may read what it heard (pg_read_all_stats), and this runs as the owner, who should.
-- The statement sees nothing newer than when it began.
CREATE FUNCTION tally.behind_seconds() RETURNS double precision
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT extract(epoch FROM clock_timestamp() - least(
               statement_timestamp(),
               greatest(
                   coalesce(
                       pg_last_xact_replay_timestamp(),
                       (SELECT checkpoint_time FROM pg_control_checkpoint())
                   ),
                   (SELECT last_msg_send_time FROM pg_stat_wal_receiver
                     WHERE latest_end_lsn <= pg_last_wal_replay_lsn())
               )
           ));
END;

REVOKE EXECUTE ON FUNCTION tally.behind_seconds() FROM PUBLIC;
