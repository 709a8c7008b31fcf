"""Repeated requests: moto takes each for a new one."""

import threading
from collections.abc import Callable, Iterable
from typing import Any


class AnswersOnce:
    """Gives a repeated request its first answer.

    A client that did not get an answer sends its request again under the same invocation id;
    taken for a new one, a creation would fail as a duplicate.
    """

    def __init__(self, application: Callable[..., Iterable[bytes]]) -> None:
        self._application = application
        self._answers: dict[str, tuple[list[Any], list[bytes]]] = {}
        # A client that lost patience may ask again while its first request is still being answered.
        self._asking: dict[str, threading.Lock] = {}

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        invocation = environ.get("HTTP_AMZ_SDK_INVOCATION_ID")
        if invocation is None or environ["REQUEST_METHOD"] not in {"POST", "PUT"}:
            return self._application(environ, start_response)
        with self._asking.setdefault(invocation, threading.Lock()):
            if invocation not in self._answers:
                answer: list[Any] = []
                said = list(self._application(environ, lambda *given: answer.extend(given)))
                self._answers[invocation] = answer, said
            head, body = self._answers[invocation]
            if not head[0].startswith("2"):
                # What failed may succeed at the next attempt.
                del self._answers[invocation]
        start_response(*head)
        return body
