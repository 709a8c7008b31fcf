"""Repeats of a request with its key."""

from faults.checkers.evidence import Evidence, Facts
from faults.timeline import Request


def replays(evidence: Evidence) -> Facts:
    """A key is answered for ever as it was answered first, and every repeat says that it is one."""
    owners: dict[tuple[str, str], Request] = {}
    for request in [*evidence.adds, *evidence.resets]:
        if not request.acknowledged:
            continue
        owner = request
        if request.key is not None:
            owner = owners.setdefault((request.attempts[0].kind, request.key), request)
        yield (
            f"{owner} and {request} share a key" if owner is not request else _misreplayed(request)
        )


def _misreplayed(request: Request) -> str | None:
    first, *later = sorted(request.acknowledged, key=lambda attempt: attempt.ended)
    for attempt in later:
        if attempt.answer != first.answer:
            return f"{request} was answered {first.answer}, then {attempt.answer}"
        if attempt.sent > first.ended and not attempt.replayed:
            return f"{request} was answered again at {attempt.sent:.3f} as if it were new"
    if sum(not attempt.replayed for attempt in [first, *later]) > 1:
        return f"{request} was answered more than once as if it were new"
    if len(request.attempts) == 1 and first.replayed:
        return f"{request} was answered as a repeat, but was sent only once"
    return None
