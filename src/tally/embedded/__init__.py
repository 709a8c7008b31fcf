"""The PostgreSQL server that `tally up` brings along.

Imports go one way: supervisor, sharing, postgres, then postmaster and cluster, programs, binaries,
the directories.
"""
