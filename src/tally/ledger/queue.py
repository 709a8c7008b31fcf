"""The queue of adds that wait for a commit to begin."""

from collections import deque
from collections.abc import Iterator

from tally.ledger.add import QueueFull, Request


class Queue:
    """First in, first out, which is also in order of deadlines; bounded in values."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._requests: deque[Request] = deque()
        self.values = 0
        """How many values wait."""

    def __bool__(self) -> bool:
        return bool(self._requests)

    def put(self, request: Request) -> None:
        """Add a request at the end; raises `QueueFull`."""
        if self.values + len(request.values) > self._limit:
            raise QueueFull(f"{self.values} values wait already", keyed=request.key is not None)
        self._requests.append(request)
        self.values += len(request.values)

    def take(self, most: int) -> list[Request]:
        """Take unanswered requests of at most `most` values, or a single one of any size."""
        taken: list[Request] = []
        size = 0
        while self._requests:
            size += len(self._requests[0].values)
            if taken and size > most:
                break
            request = self._take_first()
            if not request.finished:
                taken.append(request)
        return taken

    def take_expired(self, now: float) -> Iterator[Request]:
        """Take the requests whose deadline has passed."""
        while self._requests and self._requests[0].deadline <= now:
            yield self._take_first()

    def _take_first(self) -> Request:
        request = self._requests.popleft()
        self.values -= len(request.values)
        return request
