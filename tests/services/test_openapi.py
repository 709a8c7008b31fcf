"""The contract describes what is served, and its examples fit it."""

import json
import re

import jsonschema_rs

from tally.services.server import declared, openapi

DOCUMENT = json.loads(openapi())
METHODS = {"get", "post", "put", "patch", "delete"}


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
