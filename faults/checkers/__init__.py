"""The checkers: each reads the history alone and looks after one promise, its docstring.

A checker is a pure function that yields for each fact None, or what is wrong. None uses code of the
ledger's own, and amounts are compared as exact decimals.
"""

from collections.abc import Callable
from typing import Final

from faults.checkers.adds import (
    durable_once,
    in_order,
    keys_settle,
    nothing_else,
    refused_absent,
    told_of_keys,
    unknown_once,
)
from faults.checkers.evidence import Evidence, Facts
from faults.checkers.ledger import chain, resets
from faults.checkers.processes import (
    answers,
    availability,
    faults_injected,
    few_sessions,
    graceful_stop,
    migrations,
    processes_stay,
    serves_others,
)
from faults.checkers.reads import entries_existed, monotonic_reads, resets_existed, sums_existed
from faults.checkers.replays import replays
from faults.checkers.verdict import Finding, Verdict
from faults.history import History

Checker = Callable[[Evidence], Facts]

CHECKERS: Final[tuple[Checker, ...]] = (
    durable_once,
    refused_absent,
    told_of_keys,
    unknown_once,
    keys_settle,
    nothing_else,
    in_order,
    sums_existed,
    entries_existed,
    resets_existed,
    monotonic_reads,
    chain,
    resets,
    replays,
    availability,
    serves_others,
    few_sessions,
    faults_injected,
    processes_stay,
    graceful_stop,
    migrations,
    answers,
)


def check(history: History) -> list[Verdict]:
    """Let every checker look. Raises `ValueError` for a history that can't be checked."""
    evidence = Evidence(history)
    return [_verdict(checker, evidence) for checker in CHECKERS]


def findings(history: History) -> list[Finding]:
    """List the promises that were not kept. Raises `ValueError` as `check` does."""
    return [finding for verdict in check(history) for finding in verdict.findings]


def _verdict(checker: Checker, evidence: Evidence) -> Verdict:
    facts = list(checker(evidence))
    details = tuple(detail for detail in facts if detail is not None)
    return Verdict(checker.__name__, checker.__doc__ or "", len(facts), details)
