"""The services are held to their contract, openapi.json, by requests made from it."""

import json
import re

import httpx
import jsonschema_rs
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.checks import positive_data_acceptance

from tally.services.server import declared, openapi

DOCUMENT = json.loads(openapi())
METHODS = {"get", "post", "put", "patch", "delete"}
# What no schema can say: a key that another request used, the digits of a number, a full total.
UNSAYABLE = {"idempotency-key-reuse", "too-precise", "too-large", "sum-out-of-range"}


# The events are an endless stream: a test of their own reads them.
operations = schemathesis.openapi.from_dict(DOCUMENT).exclude(path="/display_service/events")


@operations.parametrize()
@settings(
    max_examples=40,
    derandomize=True,
    deadline=None,
    suppress_health_check=[
        HealthCheck.too_slow,
        HealthCheck.filter_too_much,
        HealthCheck.function_scoped_fixture,
    ],
)
def test_every_operation_answers_as_the_contract_says(case, server) -> None:
    response = case.call_and_validate(server.url, excluded_checks=[positive_data_acceptance])
    valid = case.meta is not None and case.meta.generation.mode.is_positive
    if valid and response.status_code == 422:
        if "<html" in response.text:
            assert "already used" in response.text
        else:
            assert response.json()["rule"] in UNSAYABLE


def test_contract_is_served_as_it_is_kept(server) -> None:
    assert httpx.get(f"{server.url}/openapi.json").json() == DOCUMENT


def test_every_resource_is_in_the_contract_and_every_operation_is_served() -> None:
    described = {
        (method.upper(), path)
        for path, item in DOCUMENT["paths"].items()
        for method in item.keys() & METHODS
    }
    served = {(method, re.sub(r":\w+}", "}", path)) for method, path in declared()}
    assert served == described


def test_every_example_fits_its_schema() -> None:
    checked = 0
    for item in DOCUMENT["paths"].values():
        for operation in item.values():
            contents = [operation.get("requestBody", {})]
            contents += [r for r in operation["responses"].values() if "$ref" not in r]
            for content in contents:
                media = content.get("content", {}).get("application/json")
                if media is None:
                    continue
                examples = [e["value"] for e in media.get("examples", {}).values()]
                examples += [media["example"]] if "example" in media else []
                schema = {**media["schema"], "components": DOCUMENT["components"]}
                for example in examples:
                    jsonschema_rs.validate(schema, example)
                    checked += 1
    assert checked >= 12


def test_events_stream_as_described(server) -> None:
    with httpx.stream("GET", f"{server.url}/display_service/events") as response:
        assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
        lines = response.iter_lines()
        assert next(lines) == "event: total"
        total = json.loads(next(lines).removeprefix("data: "))
        assert next(lines) == ""
    schema = {"$ref": "#/components/schemas/Total", "components": DOCUMENT["components"]}
    jsonschema_rs.validate(schema, total)
