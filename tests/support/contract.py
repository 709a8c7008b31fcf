"""The tests of the HTTP contract, openapi.json, for whichever `server` they are imported to.

First what a value may be: every accepted form, and every refusal by its rule. Then requests that
are made from the contract itself.
"""

import json

import httpx
import jsonschema_rs
import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.checks import positive_data_acceptance

from tally.services.server import openapi
from tests.support.http import ENTRIES

DOCUMENT = json.loads(openapi())
JSON = {"Content-Type": "application/json"}
# What no schema can say: a key that another request used, the digits of a number, a full total,
# which of two times is the later.
UNSAYABLE = {
    *("idempotency-key-reuse", "too-precise", "too-large", "sum-out-of-range"),
    "invalid-range",
}


@pytest.fixture
def unmoved(client):
    """Nothing that a test refuses may change the total."""
    before = client.get("/display_service/total").json()
    yield
    assert client.get("/display_service/total").json() == before


def post(client, body: str | bytes, **headers: str) -> httpx.Response:
    return client.post(ENTRIES, content=body, headers={**JSON, **headers})


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("12.5", "12.5"),
        ('"12.5"', "12.5"),
        ("0", "0"),
        ("-0", "0"),
        ("-0.0", "0"),
        ('"-0"', "0"),
        ("1e3", "1000"),
        ("1E+2", "100"),
        ("12500e-3", "12.5"),
        ("0.1", "0.1"),
        ("1.0000000000", "1"),
        ("100000000000e-20", "0.000000001"),
        ('"+5"', "5"),
        ('".5"', "0.5"),
        ('"-.25"', "-0.25"),
        ('"000"', "0"),
        ('"007.500"', "7.5"),
        ("999999999999999999.999999999", "999999999999999999.999999999"),
        ('"-999999999999999999.999999999"', "-999999999999999999.999999999"),
        ("123456789012345678.123456789", "123456789012345678.123456789"),
        ("0e999999999999", "0"),
        ("0.000000001", "0.000000001"),
    ],
)
def test_accepted_and_read_exactly(client, written: str, read: str) -> None:
    response = post(client, f'{{"value": {written}}}')
    assert (response.status_code, response.json()["value"]) == (201, read)
    # As part of a list it means the same.
    response = post(client, f'{{"values": [0, {written}]}}')
    newest = client.get("/display_service/entries?limit=1").json()["entries"][0]
    assert (response.status_code, newest["value"]) == (201, read)


def test_sums_are_exact(client) -> None:
    client.post("/reset_service/resets")
    assert post(client, '{"values": [0.1, 0.2]}').json()["sum"] == "0.3"
    assert post(client, '{"value": 1e17}').json()["sum"] == "100000000000000000.3"
    assert post(client, '{"value": -1e17}').json()["sum"] == "0.3"


@pytest.mark.usefixtures("unmoved")
@pytest.mark.parametrize(
    ("written", "rule"),
    [
        ('""', "empty"),
        ('"  "', "empty"),
        ('"twelve"', "not-a-number"),
        ('" 1"', "not-a-number"),
        ('"1 "', "not-a-number"),
        ('"1_000"', "not-a-number"),
        ('"1,000"', "not-a-number"),
        ('"0x10"', "not-a-number"),
        ('"1e3"', "not-a-number"),
        ('"."', "not-a-number"),
        ('"5."', "not-a-number"),
        ('"--5"', "not-a-number"),
        ('"١٢"', "not-a-number"),
        ('"１２"', "not-a-number"),
        ('"1\\u0000"', "not-a-number"),
        ('"1\\n"', "not-a-number"),
        ('"\\ud800"', "not-a-number"),
        ('"NaN"', "not-finite"),
        ('"-Infinity"', "not-finite"),
        ('"inf"', "not-finite"),
        ("1e18", "too-large"),
        ("-1000000000000000000", "too-large"),
        ("1e400", "too-large"),
        ("1e99999999999999999999", "too-large"),
        ('"1000000000000000000"', "too-large"),
        ('"0000000000000000001"', "too-large"),
        ("1e-10", "too-precise"),
        ("0.1234567891", "too-precise"),
        ("1e-99999999999999999999", "too-precise"),
        ('"0.1234567890"', "too-precise"),
        ("true", "wrong-type"),
        ("null", "wrong-type"),
        ("[1]", "wrong-type"),
        ('{"value": 1}', "wrong-type"),
    ],
)
def test_refused_by_a_rule_that_is_named(client, written: str, rule: str) -> None:
    response = post(client, f'{{"value": {written}}}')
    problem = response.json()
    assert (response.status_code, problem["rule"], problem["field"]) == (422, rule, "value")
    assert response.headers["content-type"] == "application/problem+json"
    # One bad value among good ones refuses them all, and says which it was.
    response = post(client, f'{{"values": [1, {written}, 2]}}')
    problem = response.json()
    assert (response.status_code, problem["rule"], problem["field"]) == (422, rule, "values[1]")


@pytest.mark.usefixtures("unmoved")
@pytest.mark.parametrize(
    ("body", "status", "rule"),
    [
        ("", 400, "invalid-json"),
        ("{", 400, "invalid-json"),
        ('{"value": NaN}', 400, "invalid-json"),
        ('{"value": Infinity}', 400, "invalid-json"),
        ('{"value": 01}', 400, "invalid-json"),
        ('{"value": .5}', 400, "invalid-json"),
        ('{"value": +1}', 400, "invalid-json"),
        ('{"value": 1} {}', 400, "invalid-json"),
        ('\ufeff{"value": 1}', 400, "invalid-json"),
        (b'{"value": "\xff"}', 400, "invalid-json"),
        ("[" * 100_000, 400, "invalid-json"),
        ("[1]", 422, "wrong-type"),
        ("1", 422, "wrong-type"),
        ("null", 422, "wrong-type"),
        ("{}", 422, "missing-field"),
        ('{"amount": 1}', 422, "unknown-field"),
        ('{"value": 1, "note": "x"}', 422, "unknown-field"),
        ('{"value": 1, "values": [1]}', 422, "unknown-field"),
        ('{"value": 1, "value": 1}', 422, "duplicate-field"),
        ('{"value": 1, "value": 2}', 422, "duplicate-field"),
        ('{"values": 1}', 422, "wrong-type"),
        ('{"values": []}', 422, "no-values"),
        (json.dumps({"values": [1] * 10_001}), 422, "too-many-values"),
        ('{"value": "' + "1" * (1024 * 1024) + '"}', 413, "body-too-large"),
    ],
    ids=lambda part: str(part)[:24],
)
def test_refused_bodies(client, body: str | bytes, status: int, rule: str) -> None:
    response = post(client, body)
    assert (response.status_code, response.json()["rule"]) == (status, rule)


def test_largest_bodies_are_taken(client) -> None:
    assert post(client, json.dumps({"values": ["1"] * 10_000})).status_code == 201
    padded = '{"value": 1' + " " * (1024 * 1024 - 12) + "}"
    assert len(padded) == 1024 * 1024
    assert post(client, padded).status_code == 201


@pytest.mark.usefixtures("unmoved")
@pytest.mark.parametrize("given", [None, "text/plain", "application/jsonp", "application/xml"])
def test_other_content_types_are_refused(client, given: str | None) -> None:
    headers = {} if given is None else {"Content-Type": given}
    response = client.post(ENTRIES, content=b'{"value": 1}', headers=headers)
    assert (response.status_code, response.json()["rule"]) == (415, "content-type")


def test_content_type_may_carry_a_charset(client) -> None:
    response = post(client, '{"value": 1}', **{"Content-Type": "Application/JSON; charset=utf-8"})
    assert response.status_code == 201


@pytest.mark.parametrize("key", ["a", "k" * 255, "!~", 'with"quotes"'])
def test_keys_that_can_be_used(client, key: str) -> None:
    first = post(client, '{"value": 1.50}', **{"Idempotency-Key": key})
    again = post(client, '{"value": "1.5"}', **{"Idempotency-Key": key})
    assert first.status_code == again.status_code == 201
    assert first.json() == again.json()
    assert "Idempotency-Replayed" not in first.headers
    assert again.headers["Idempotency-Replayed"] == "true"


@pytest.mark.usefixtures("unmoved")
@pytest.mark.parametrize("key", ["", "k" * 256, "two words", "tab\there", "größe"])
def test_keys_that_cannot(client, key: str) -> None:
    response = client.post(
        ENTRIES, content=b'{"value": 1}', headers=[*JSON.items(), ("Idempotency-Key", key.encode())]
    )
    assert (response.status_code, response.json()["rule"]) == (422, "invalid-key")


@pytest.mark.usefixtures("unmoved")
def test_a_key_given_twice_is_refused(client) -> None:
    headers = [*JSON.items(), ("Idempotency-Key", "a"), ("Idempotency-Key", "a")]
    response = client.post(ENTRIES, content=b'{"value": 1}', headers=headers)
    assert (response.status_code, response.json()["rule"]) == (422, "invalid-key")


def test_a_key_with_another_body_is_refused(client) -> None:
    post(client, '{"value": 1}', **{"Idempotency-Key": "one-body"})
    for other in ('{"value": 2}', '{"values": [1]}'):
        response = post(client, other, **{"Idempotency-Key": "one-body"})
        assert (response.status_code, response.json()["rule"]) == (422, "idempotency-key-reuse")


# The events are an endless stream: a test of their own reads them.
operations = schemathesis.openapi.from_dict(DOCUMENT).exclude(path="/display_service/events")


@operations.parametrize()
@settings(
    max_examples=40,
    derandomize=True,
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


def test_events_stream_as_described(server) -> None:
    with httpx.stream("GET", f"{server.url}/display_service/events") as response:
        assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
        lines = response.iter_lines()
        assert next(lines) == "event: total"
        total = json.loads(next(lines).removeprefix("data: "))
        assert next(lines) == ""
    schema = {"$ref": "#/components/schemas/Total", "components": DOCUMENT["components"]}
    jsonschema_rs.validate(schema, total)
