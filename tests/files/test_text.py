"""Lines: bounded, in UTF-8; another encoding is named with the remedy."""

import pytest

from tally.files.text import MAX_LINE


@pytest.mark.parametrize("form", ["csv", "ndjson"])
@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("value\n5\n".encode("utf-16"), "is in UTF-16: save it as"),
        ("value\n5\n".encode("utf-16-be"), "line 1: byte 1 is NUL"),
        (b"\xfe\xff" + "5\n".encode("utf-16-be"), "is in UTF-16"),
        ("value\n5\n".encode("utf-32"), "is in UTF-32"),
        ('"5"\n"ä"\n'.encode("cp1252"), "line 2: byte 2 (0xE4) is not UTF-8: if it is 'ä'"),
        ("5\n5 €\n".encode("cp1252"), "line 2: byte 3 (0x80) is not UTF-8: if it is '€'"),
        (b'"5"\n"\xed\xa0\x80"\n', "line 2: byte 2 (0xED) is not UTF-8"),
        (b"5\n\0\n", "line 2: byte 1 is NUL"),
        (b"PK\x03\x04...", "is a workbook or another zip file, not text"),
        (b"\xd0\xcf\x11\xe0...", "is a workbook, not text"),
        (b"BZh91AY&SY", "is compressed, but not by gzip"),
        (b"1\n" + b"2" * (MAX_LINE + 1), "line 2: is longer than 1048576 bytes"),
        (b"1\n" + b" " * (3 * MAX_LINE) + b"\n1", "line 2: is longer than 1048576 bytes"),
    ],
    ids=lambda it: str(it)[:30],
)
def test_what_is_no_text_in_utf8_is_named(amounts, form, content, said) -> None:
    assert said in amounts(content, form)


def test_a_line_may_cross_blocks(amounts) -> None:
    """Values, marks and ends of lines, cut at each place by what was read at once."""
    numbers = [str(number) for number in range(100_000)]
    assert amounts("\ufeff" + "\r\n".join(numbers)) == numbers


def test_a_quoted_cell_is_bounded(amounts) -> None:
    assert "line 2: a quote is opened" in amounts('value,note\n5,"' + "a\n" * MAX_LINE)


def test_a_line_of_ndjson_is_one_value_however_long(amounts) -> None:
    """A part of a long line was once a value of its own."""
    long = "1" + " " * (MAX_LINE - 1) + "2\n"
    assert "line 1: is longer than" in amounts(long, "ndjson")
