"""Which services of AWS an answer was made by: those whose state was looked up for it.

Each answer names them in a header. What no change has touched answers as before it.
"""

import threading
from collections.abc import Callable, Iterable
from typing import Any, Final

from moto.core.base_backend import AccountSpecificBackend, BaseBackend

HEADER: Final = "x-touched"


class SaysWhatItTouched:
    """Adds the header to an application's answers."""

    def __init__(self, application: Callable[..., Iterable[bytes]]) -> None:
        self._application = application
        self._here = threading.local()
        look_up = AccountSpecificBackend.__getitem__

        def note(backends: Any, region: str) -> Any:
            found = look_up(backends, region)
            # Some services have looked up others once, and keep them.
            kept = [it for it in vars(found).values() if isinstance(it, BaseBackend)]
            touched = {backends.service_name, *(type(it).__module__.split(".")[1] for it in kept)}
            self._here.__dict__.setdefault("touched", set()).update(touched)
            return found

        AccountSpecificBackend.__getitem__ = note

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        touched: set[str] = set()
        self._here.touched = touched

        def start(status: str, headers: list[tuple[str, str]], *given: Any) -> Any:
            # For every request IAM is asked whose keys it has; only its own calls change it.
            if "/iam/" not in environ.get("HTTP_AUTHORIZATION", ""):
                touched.discard("iam")
            return start_response(status, [*headers, (HEADER, " ".join(sorted(touched)))], *given)

        return self._application(environ, start)
