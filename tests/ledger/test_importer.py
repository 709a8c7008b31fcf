"""Importing files: what people have is read exactly, and the first bad line is named."""

import pytest

from tally.amount import format_amount
from tally.ledger.importer import InvalidFile, check_file, import_file


def form_of(name):
    return "csv" if name.endswith("csv") else "ndjson"


@pytest.mark.parametrize(
    ("name", "content", "total"),
    [
        ("plain.csv", "1\n2.5\n-3\n", "0.5"),
        ("header.csv", "id,Value,note\n7,1,a\n8,2.5,b\n", "3.5"),
        ("mark.csv", "\ufeffvalue\r\n1\r\n\r\n2\r\n", "3"),
        ("quoted.csv", 'name,value\n"a, b","1.5"\n"c ""d""",2\n', "3.5"),
        ("unnamed.csv", "amount\n1\n2\n", "3"),
        ("numbers.ndjson", '1\n"2.5"\n\n{"value": 1e3}\n{"value": "4", "x": 1}\n', "1007.5"),
        ("exact.jsonl", "123456789012345678.123456789\n", "123456789012345678.123456789"),
    ],
)
async def test_reads_what_people_have(writer, tmp_path, name, content, total):
    file = tmp_path / name
    file.write_text(content, newline="")
    checked = check_file(file, form_of(name))
    told = []
    done = await import_file(writer, checked, progress=lambda *stored: told.append(stored))
    assert format_amount(done.last.sum) == total
    assert (done.count, done.already) == (checked.count, 0)
    assert told[-1] == (checked.count, checked.count)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("bad.csv", "1\n2\nthree\n", "line 3: value must be a plain decimal number"),
        ("deep.csv", "value\n1\n0.1234567891\n", "line 3: value must have at most 9 digits"),
        ("short.csv", "id,value\n1,1\n2\n", "line 3: the value is missing"),
        ("bad.ndjson", "1\nNaN\n", "line 2: is not JSON"),
        ("null.ndjson", "1\nnull\n", "line 2: value must be a number or a string"),
        ("none.ndjson", '{"amount": 1}\n', "line 1: the field value is missing"),
        ("empty.csv", "", "holds no values"),
    ],
)
def test_names_line_and_rule(tmp_path, name, content, said):
    file = tmp_path / name
    file.write_text(content)
    with pytest.raises(InvalidFile, match=f"{name}.*{said}"):
        check_file(file, form_of(name))


async def test_the_same_content_counts_once_unless_it_is_labelled(writer, tmp_path):
    for name, label, already in (("a.csv", "", 0), ("b.csv", "", 3), ("b.csv", "march", 0)):
        file = tmp_path / name
        file.write_text("1\n2\n3\n")
        done = await import_file(
            writer, check_file(file, "csv"), label=label, progress=lambda done, count: None
        )
        assert (done.count, done.already) == (3, already)
    assert format_amount(done.last.sum) == "12"


async def test_a_file_that_was_emptied_meanwhile_is_refused(writer, tmp_path):
    file = tmp_path / "a.csv"
    file.write_text("1\n")
    checked = check_file(file, "csv")
    file.write_text("")
    with pytest.raises(InvalidFile, match="emptied meanwhile"):
        await import_file(writer, checked, progress=lambda done, count: None)
