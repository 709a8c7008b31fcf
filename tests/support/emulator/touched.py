"""Which services of AWS an answer was made by: those whose state was looked up for it.

Each answer names them in a header. What no change has touched answers as before it.
"""

import threading
from collections.abc import Callable, Iterable
from typing import Any, Final

from moto.core.base_backend import AccountSpecificBackend

HEADER: Final = "x-touched"
# moto keeps what it has looked up of another service for later.
_KEPT: Final = {"application-autoscaling": {"ecs"}}


class SaysWhatItTouched:
    """Adds the header to an application's answers."""

    def __init__(self, application: Callable[..., Iterable[bytes]]) -> None:
        self._application = application
        self._here = threading.local()
        look_up = AccountSpecificBackend.__getitem__

        def note(backends: Any, region: str) -> Any:
            self._here.__dict__.setdefault("touched", set()).add(backends.service_name)
            return look_up(backends, region)

        AccountSpecificBackend.__getitem__ = note

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        touched: set[str] = set()
        self._here.touched = touched

        def start(status: str, headers: list[tuple[str, str]], *given: Any) -> Any:
            names = touched.union(*(_KEPT.get(name, ()) for name in touched))
            # For every request IAM is asked whose keys it has; only its own calls change it.
            if "/iam/" not in environ.get("HTTP_AUTHORIZATION", ""):
                names.discard("iam")
            return start_response(status, [*headers, (HEADER, " ".join(sorted(names)))], *given)

        return self._application(environ, start)
