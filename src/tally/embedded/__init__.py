"""The one-machine stack: a private PostgreSQL server and all services in one command.

Imports go one way: up and target, then postgres, postmaster, binaries, place, error.
"""
