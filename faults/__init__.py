"""Injects faults into a running Tally under load, and checks the history of what happened."""
