"""How the processes behave under faults: back in time, stopped in order, answering as promised."""

import signal
from bisect import bisect_right
from collections import defaultdict
from decimal import Decimal
from itertools import accumulate
from math import inf
from typing import Final

from faults.checkers.evidence import OK, Evidence, Facts
from faults.history import Command, Exit, Fault, History, Peak, Sessions, Start, Usage
from faults.service import STOP_SECONDS
from faults.timeline import CREATED

BACK_WITHIN: Final = 10.0  # seconds; what a client that retries should at most have to wait
# Allocators keep what a burst once needed, and caches fill during the run: half as much again, and
# 30 MB for small processes. A leak under faults that come by the hundred is far above that.
MEMORY_FACTOR: Final = 1.5
MEMORY_BYTES: Final = 30_000_000
# Connections that clients and the pool happen to have open just then; the idle ones of the fault
# that opens thousands must be gone.
DESCRIPTORS: Final = 20
# The smallest that a service gets is a task of 512 MiB (infra/profile.tf); the kernel's buffers of
# its connections count there, too.
PEAK_BYTES: Final = 400_000_000
# A pool of four, a writer's, one that is being opened, and those of two that are being ended.
MOST_SESSIONS: Final = 8
# 409 and 404 are for an undo whose first try was done, or that came to nothing.
_EXPECTED: Final = {
    "add": {201, 503},
    "total": {200, 503},
    "entries": {200, 503},
    "reset": {201, 503},
    "undo": {200, 404, 409, 503},
    "resets": {200, 503},
}


def seconds_until_back(history: History) -> list[tuple[Fault, float | None]]:
    """Pair each fault with the seconds from its healing until every service was back.

    A service is back once it has answered a request that was sent after the fault was over. None
    if that never came.
    """
    answers = _FirstAnswers(history)
    found: list[tuple[Fault, float | None]] = []
    for fault in history.all(Fault):
        if fault.error is None:
            back = max([fault.healed, *answers.after(fault.over).values()])
            found.append((fault, None if back == inf else back - fault.healed))
    return found


class _FirstAnswers:
    """When each service first answered with success, of the requests sent after a moment."""

    def __init__(self, history: History) -> None:
        answered: dict[str, list[tuple[float, float]]] = {
            start.service: [] for start in history.all(Start)
        }
        for attempt in history.attempts():
            if attempt.status in {OK, CREATED} and attempt.service in answered:
                answered[attempt.service].append((attempt.sent, attempt.ended))
        self._sent: dict[str, list[float]] = {}
        self._first: dict[str, list[float]] = {}
        for service, requests in answered.items():
            requests.sort()
            self._sent[service] = [sent for sent, _ in requests]
            # For each request, when the first of it and all that were sent later was answered.
            ended = (ended for _, ended in reversed(requests))
            self._first[service] = list(accumulate(ended, min, initial=inf))[::-1]

    def after(self, moment: float) -> dict[str, float]:
        """Say it for each service; infinity where it never did."""
        return {
            service: first[bisect_right(self._sent[service], moment)]
            for service, first in self._first.items()
        }


def usage(history: History) -> dict[str, tuple[Usage, Usage]]:
    """Give for each service what its process used after the warm-up and at the end."""
    found: dict[str, list[Usage]] = defaultdict(list)
    for measured in history.all(Usage):
        found[measured.service].append(measured)
    return {service: (measured[0], measured[-1]) for service, measured in found.items()}


def availability(evidence: Evidence) -> Facts:
    """Service is back within 10 seconds of each fault, and memory and descriptors come back."""
    for fault, seconds in seconds_until_back(evidence.history):
        if seconds is None:
            yield f"service never came back after {fault.name}"
        else:
            late = seconds > BACK_WITHIN
            yield f"service was back only {seconds:.1f} s after {fault.name}" if late else None
    for service, (before, after) in usage(evidence.history).items():
        most = before.memory * MEMORY_FACTOR + MEMORY_BYTES
        for kind, held, holds, limit in (
            ("memory", before.memory, after.memory, most),
            (
                "descriptors",
                before.descriptors,
                after.descriptors,
                before.descriptors + DESCRIPTORS,
            ),
        ):
            yield f"{service} went from {held} to {holds} of {kind}" if holds > limit else None


def serves_others(evidence: Evidence) -> Facts:
    """While clients are hostile, every service serves others, in at most 400 MB of memory."""
    answers = _FirstAnswers(evidence.history)
    for fault in evidence.history.all(Fault):
        if fault.serving is None:
            continue
        for service, first in answers.after(fault.serving).items():
            yield None if first <= fault.healed else f"{service} served nobody during {fault.name}"
    for peak in evidence.history.all(Peak):
        over = peak.memory > PEAK_BYTES
        yield f"{peak.service} held {peak.memory} bytes by {peak.fault}" if over else None


def few_sessions(evidence: Evidence) -> Facts:
    """Whatever hangs, no process of Tally's has more than eight sessions of a server."""
    for seen in evidence.history.all(Sessions):
        over = seen.most > MOST_SESSIONS
        yield f"{seen.node} had {seen.most} sessions of one process" if over else None


def peaks(history: History) -> dict[str, int]:
    """Give for each service the most memory that its processes have held under hostile clients."""
    found: dict[str, int] = defaultdict(int)
    for peak in history.all(Peak):
        found[peak.service] = max(found[peak.service], peak.memory)
    return found


def faults_injected(evidence: Evidence) -> Facts:
    """Every planned fault is injected."""
    for fault in evidence.history.all(Fault):
        yield None if fault.error is None else f"{fault.name} was not injected: {fault.error}"


def processes_stay(evidence: Evidence) -> Facts:
    """No service ends unless it is killed or asked to."""
    for ended in evidence.history.all(Exit):
        itself = ended.signal is None
        yield f"{ended.service} ended by itself with status {ended.status}" if itself else None


def graceful_stop(evidence: Evidence) -> Facts:
    """SIGTERM under load: exit status 0 within 10 s, and no add is stored without an answer."""
    stops = [ended for ended in evidence.history.all(Exit) if ended.signal == signal.SIGTERM]
    for stop in stops:
        seconds = stop.at - stop.asked
        kept = stop.status == 0 and seconds <= STOP_SECONDS
        yield None if kept else f"{stop.service}: exit status {stop.status} after {seconds:.1f} s"
    stored = {Decimal(value) for _, value, _ in evidence.final.entries}
    for attempt in evidence.history.attempts():
        # With a key a later try may be what stored it, so only adds without one can tell.
        if attempt.kind != "add" or attempt.key is not None:
            continue
        if any(
            attempt.service == stop.service
            and attempt.sent < stop.at
            and attempt.ended >= stop.asked
            for stop in stops
        ):
            unanswered = attempt.status is None and Decimal(attempt.values[0]) in stored
            yield (
                f"{attempt.service} stored {attempt.values} and did not answer"
                if unanswered
                else None
            )


def migrations(evidence: Evidence) -> Facts:
    """Two at once both succeed."""
    for ran in evidence.history.all(Command):
        if ran.name == "migrate":
            yield f"exit status {ran.status}: {ran.output}" if ran.status else None


def answers(evidence: Evidence) -> Facts:
    """A fault shows as no answer or as 503, never as another error."""
    for attempt in evidence.history.attempts():
        expected = attempt.status is None or attempt.status in _EXPECTED[attempt.kind]
        shown = f"{attempt.kind} at {attempt.service}: {attempt.status} {attempt.answer}"
        yield None if expected else shown
