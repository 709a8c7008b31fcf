"""Load from processes of their own: wrk for HTTP, pgbench, and redis-benchmark."""
