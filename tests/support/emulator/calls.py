"""The record of calls, with what they say and what is known of that."""

import json
from pathlib import Path
from typing import Any

from moto.core.parse import PROTOCOL_PARSERS
from moto.core.request import determine_request_protocol
from moto.core.responses import BaseResponse
from moto.core.routing import get_service_router
from moto.core.utils import get_service_model

from tests.support.emulator import access

# What says something about the resource or the circumstances is shorter: no body, no document.
LONGEST = 256


def record_calls(path: Path) -> None:
    """Write each call to the file, by the name that AWS gives it, and refuse what IAM does."""
    calls = path.open("a", buffering=1)
    set_up = BaseResponse.setup_class

    def record(self: BaseResponse, request: Any, *args: Any, **kwargs: Any) -> None:
        set_up(self, request, *args, **kwargs)
        call = described(self)
        self.caller = call["caller"]
        self.refused = access.refused(call) if call["action"] else []
        calls.write(json.dumps(call) + "\n")

    BaseResponse.setup_class = record
    access.patch()


def described(response: BaseResponse) -> dict[str, Any]:
    """A call as it is recorded."""
    service, action = response.boto3_service_name, response._get_action()
    caller, region = signed_by(response.headers.get("Authorization", ""))
    call = {
        "service": service,
        "action": action,
        "agent": response.headers.get("User-Agent", ""),
        "caller": caller,
        "region": region,
        "parameters": parameters(response, service, action) if action else {},
    }
    return call | {"facts": access.facts_of(call)}


def signed_by(authorization: str) -> tuple[str, str]:
    """The access key and the region of a signature of version 4; neither where there is none."""
    scope = authorization.partition("Credential=")[2].partition(",")[0]
    key, _, rest = scope.partition("/")
    return key, rest.split("/")[1] if rest else ""


def parameters(response: BaseResponse, service: str, action: str) -> dict[str, Any]:
    """What a call says, as in AWS's API models, without what is long."""
    request, model = response.normalized_request, get_service_model(service)
    protocol = determine_request_protocol(model, request.content_type)
    path = get_service_router(service).match(request)[1] if protocol.startswith("rest") else {}
    if service == "s3" and action != "DeleteObjects":
        # Its bodies are objects and documents; the path says which.
        return short(dict(path))
    parser = PROTOCOL_PARSERS[protocol](model.operation_model(action))
    said = {
        "method": request.method,
        "values": request.values,
        "headers": request.headers,
        "body": request.data,
        "url_path": request.path,
        "url_params": path,
    }
    found = short(dict(parser.parse(said)))
    if action == "DeleteObjects":
        found["Key"] = [it["Key"] for it in found.pop("Delete")["Objects"]]
    return found


def short(value: Any) -> Any:
    """The same without what is longer than names and identifiers are."""
    if isinstance(value, dict):
        return {str(key): it for key, each in value.items() if (it := short(each)) is not None}
    if isinstance(value, (list, tuple)):
        return [it for each in value if (it := short(each)) is not None]
    if isinstance(value, (bool, int, float)):
        return value
    return value if isinstance(value, str) and len(value) <= LONGEST else None
