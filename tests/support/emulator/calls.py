"""The record of calls, which the policies of the workflows' roles are held to."""

import json
from pathlib import Path
from typing import Any

from moto.core.responses import BaseResponse


def record_calls(path: Path) -> None:
    """Write each call to the file, by the name that AWS gives it."""
    calls = path.open("a", buffering=1)
    set_up = BaseResponse.setup_class

    def record(self: BaseResponse, request: Any, *args: Any, **kwargs: Any) -> None:
        set_up(self, request, *args, **kwargs)
        call = {
            "service": self.boto3_service_name,
            "action": self._get_action(),
            "agent": request.headers.get("User-Agent", ""),
        }
        calls.write(json.dumps(call) + "\n")

    BaseResponse.setup_class = record
