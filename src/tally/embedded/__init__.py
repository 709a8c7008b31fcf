"""The PostgreSQL server that `tally up` brings along.

Imports go one way: supervisor, postgres, then postmaster and cluster, binaries, the directories.
"""
