"""Writes operations into the history, and tells at once what a running run must know of it."""

from collections.abc import Iterable
from typing import Final

from faults.history import Attempt, History, Operation

_DONE: Final = (200, 201)
_UNAVAILABLE: Final = 503


class Recorder:
    """Shared by all that observes a run."""

    def __init__(self, history: History) -> None:
        self.history = history
        self.failed_adds = 0
        """Adds that got no answer, or the answer that the service is not available."""
        self._newest: dict[str, float] = {}

    def record(self, operation: Operation) -> None:
        self.history.add(operation)
        if not isinstance(operation, Attempt):
            return
        if operation.status in _DONE:
            service = operation.service
            self._newest[service] = max(self._newest.get(service, 0), operation.sent)
        elif operation.kind == "add" and operation.status in (None, _UNAVAILABLE):
            self.failed_adds += 1

    def has_answered(self, services: Iterable[str], since: float) -> bool:
        """Whether each has done a request that was sent after `since`."""
        return all(self._newest.get(service, 0) > since for service in services)
