"""Mutation testing: small changes, one at a time, each of which the tests must notice."""
