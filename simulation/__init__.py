"""Tally's adders on virtual time, against a model of PostgreSQL: `python -m simulation`."""
