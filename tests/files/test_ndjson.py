"""Lines of JSON: read by the API's own rules, one value a line."""

import pytest

from tally.amount import format_amount
from tally.services.values import read_values
from tally.web.problem import Problem


@pytest.mark.parametrize(
    ("content", "options", "expected"),
    [
        ('1\n"2.5"\n\n{"value": 1e3}\n{"value": "4", "x": [1]}\n', {}, "1 2.5 1000 4"),
        ("\ufeff 1 \r\n\t2\r3", {}, "1 2 3"),
        ("123456789012345678.123456789\n", {}, "123456789012345678.123456789"),
        ('{"amount": 1, "value": "x"}\n', {"column": "amount"}, "1"),
        ('{"values": 1, "value": 2}\n', {"column": "values"}, "1"),
        ('{"id":1,"value":"1.234","sum_after":"1.234","added_at":"2026"}\n', {}, "1.234"),
        ('{"id": 7, "value": 1}\n{"id": "a b", "value": 2}\n', {"id_column": "id"}, "7=1 a-b=2"),
    ],
)
def test_reads_a_value_a_line(amounts, content, options, expected) -> None:
    assert amounts(content.replace("a b", "a-b"), "ndjson", **options) == expected.split()


@pytest.mark.parametrize(
    ("content", "options", "said"),
    [
        ("1\n2 3\n", {}, "line 2: is not JSON; each line must be one JSON value"),
        ('{\n"value": 1\n}\n', {}, "line 1: is not JSON"),
        ("1\n\ufeff2\n", {}, "line 2: is not JSON"),
        ("[1, 2]\n", {}, "line 1: is a list: give each value a line of its own"),
        ('{"values": [1, 2]}\n', {}, "line 1: has a list of values"),
        ('{"value": 1, "values": [1, 2]}\n', {}, "line 1: has a list of values"),
        ('{"amount": 1}\n', {}, "line 1: the field value is missing; --column names another"),
        ('{"Value": 1}\n', {}, "one of its fields: 'Value'"),
        ("{}\n", {}, "one of its fields: none"),
        ("1\n", {"column": "amount"}, "line 1: must be an object with the field 'amount'"),
        ('{"value": 1}\n', {"id_column": "id"}, "line 1: the field id is missing; --id-column"),
        ("1\n", {"id_column": "id"}, "line 1: must be an object with the field 'value'"),
        ('{"id": 1.5, "value": 1}\n', {"id_column": "id"}, "the id must be a string or a whole"),
        ('{"id": null, "value": 1}\n', {"id_column": "id"}, "the id must be a string or a whole"),
        ('{"id": " ", "value": 1}\n', {"id_column": "id"}, "line 1: the id is missing"),
        ('{"id": "\\ud800", "value": 1}\n', {"id_column": "id"}, "is not text"),
        ('{"id":1,"value":1}\n{"id":"1","value":2}\n', {"id_column": "id"}, "is that of line 1"),
        ("", {}, "holds no values"),
    ],
)
def test_refuses_with_the_line_and_the_remedy(amounts, content, options, said) -> None:
    refusal = amounts(content, "ndjson", **options)
    assert isinstance(refusal, str), f"read as {refusal}"
    assert said in refusal


@pytest.mark.parametrize(
    "value",
    [
        *("1", '"1"', "-0", "1e3", '"1e3"', "1e999999999", "1e-10", '".5"', ".5", "+1", '"+1"'),
        *("NaN", "Infinity", "-Infinity", '"NaN"', '"Infinity"', "1.0000000000", '"1.0000000000"'),
        *('""', '" "', '" 1"', '"1,5"', '"١٢"', '"\\u0661"', '"\\ud800"', "true", "null", "[]"),
        *("{}", "[" * 100_000, '{"value": 1}', "1" * 18, "1" * 19, "0" * 5000, "01", "0x1"),
    ],
    ids=lambda value: value[:20],
)
def test_a_value_is_what_the_api_says_it_is(amounts, value) -> None:
    body = f'{{"value": {value}}}'
    found = amounts(f"{body}\n", "ndjson")
    try:
        expected = [format_amount(amount) for amount in read_values(body.encode()).values]
    except Problem:
        expected = "a refusal"
    assert found == expected or (isinstance(found, str) and expected == "a refusal")


@pytest.mark.parametrize("fields", ['"value":1,"value":2', '"x":1,"x":1,"value":2'])
def test_a_field_twice_is_refused_as_by_the_api(amounts, fields) -> None:
    assert "is given twice" in amounts(f"{{{fields}}}", "ndjson")
    with pytest.raises(Problem, match="is given twice"):
        read_values(f"{{{fields}}}".encode())
