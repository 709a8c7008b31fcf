"""CSV: what a spreadsheet writes is read exactly, or refused with line, column and remedy."""

import csv
import io
from datetime import date

import pytest
from hypothesis import HealthCheck, given, reject, settings
from hypothesis import strategies as st

from tally.amount import InvalidAmount, format_amount, parse_text

ENGLISH = 'Date,Payee,Amount\r\n01/02/2026,"Miller, Ltd",12.50\r\n02/02/2026,Rent,-700\r\n'
GERMAN = "Datum;Empfänger;Betrag\r\n01.02.2026;Müller;12,50\r\n02.02.2026;Miete;-700\r\n"
FRENCH = "Date;Bénéficiaire;Montant\r\n01/02/2026;Léa;12,50\r\n02/02/2026;Loyer;1\u202f234,00\r\n"


@pytest.mark.parametrize(
    ("content", "options", "expected"),
    [
        # One column, with or without a name.
        ("1\n2.5\n-3\n", {}, "1 2.5 -3"),
        ("amount\n1\n2\n", {}, "1 2"),
        ("+1\n.5\n007", {}, "1 0.5 7"),
        ("1.5", {}, "1.5"),
        ("2024\n5\n", {}, "2024 5"),
        ("2024\n5\n", {"header": True}, "5"),
        ("Q1\n5\n", {"header": True}, "5"),
        ("123456789012345678.123456789\n", {}, "123456789012345678.123456789"),
        # The column named value, or the one that is said.
        ("id,Value,note\n7,1,a\n8,2.5,b\n", {}, "1 2.5"),
        ('name,value\n"a, b","1.5"\n"c ""d""",2\n', {}, "1.5 2"),
        ('"value","note"\n"1","two\nlines"\n"3",""\n', {}, "1 3"),
        ("id,amount\n1,12.50\n", {"column": "amount"}, "12.5"),
        ("id,amount\n1,12.50\n", {"column": "AMOUNT"}, "12.5"),
        ("id,amount\n1,12.50\n", {"column": "2"}, "12.5"),
        ("value,Value\n1,2\n", {"column": "Value"}, "2"),
        ("year,2024\nnorth,5\n", {"column": "2", "header": True}, "5"),
        ("2026-01-05,lunch,12.50\n", {"column": "3", "header": False}, "12.5"),
        ("value,note\n1,a\n2,b\n", {"column": "1"}, "1 2"),
        # Delimiters: those of the first row, of a sep= line, or said.
        ("value;note\n12.50;lunch\n", {}, "12.5"),
        ("value\tnote\n12.50\tlunch; and, more\n", {}, "12.5"),
        ("value|note\n12.50|lunch\n", {}, "12.5"),
        ("sep=;\r\nvalue;note\r\n5;a,b\r\n", {}, "5"),
        ('"sep=\t"\nvalue\tnote\n5\ta\n', {}, "5"),
        ("SEP=:\nnote:value\na:5\n", {}, "5"),
        ("sep=;\nvalue;note\n5;a\n", {"delimiter": ";"}, "5"),
        ("value, gross;note\n1;a\n", {"delimiter": ";", "column": "value, gross"}, "1"),
        ("value,note\n1,a; b\n2,c | d\n", {}, "1 2"),
        ("value,note\n12,50;lunch\n", {"delimiter": ","}, "12"),
        # Decimal marks.
        ("value\n1,5\n", {"decimal": ","}, "1.5"),
        ("1,5\n2\n", {"decimal": ","}, "1.5 2"),
        ("value;note\n12,50;lunch, tea\n", {"decimal": ","}, "12.5"),
        ('value,note\n"12,50",lunch\n', {"decimal": ",", "delimiter": ","}, "12.5"),
        ("value\n1.000\n", {"decimal": "."}, "1"),
        ("value\n1.000\n2.5\n", {}, "1 2.5"),
        ("value\n0.125\n1.000\n", {}, "0.125 1"),
        ("value,note\n1.000,a\n", {}, "1"),
        # Empty rows, marks and ends of lines.
        ("\ufeffvalue\r\n1\r\n\r\n2\r\n", {}, "1 2"),
        ("\n\r\n , ,\nvalue,note\n1,a\n,,\n,\n2,b\n,,,,\n", {}, "1 2"),
        ('"",""\nvalue,note\n1,a\n"",""\n', {}, "1"),
        ("value:note\n1:a\n::::\n", {"delimiter": ":"}, "1"),
        ("value\n1\n \n,,\n2", {}, "1 2"),
        ("value\r1\r2\r", {}, "1 2"),
        ("value\n1\r\n2\r3\r\r\n4", {}, "1 2 3 4"),
        (" value , note\n\t1 ,a\n", {}, "1"),
        # As Excel saves a sheet in English, German and French.
        (ENGLISH, {"column": "Amount"}, "12.5 -700"),
        (GERMAN, {"column": "Betrag", "decimal": ","}, "12.5 -700"),
        (GERMAN.replace(";", "\t"), {"column": "3", "decimal": ","}, "12.5 -700"),
        (FRENCH.replace("\u202f", ""), {"column": "Montant", "decimal": ","}, "12.5 1234"),
        ("\ufeff" + GERMAN, {"column": "Betrag", "decimal": ","}, "12.5 -700"),
        # As `tally export` writes it.
        (
            "id,value,sum_after,added_at\n1,1.234,1.234,2026-11-24T12:00:00.000000Z\n",
            {},
            "1.234",
        ),
    ],
)
def test_reads_what_people_have(amounts, content, options, expected) -> None:
    assert amounts(content, **options) == expected.split()


@pytest.mark.parametrize(
    ("content", "options", "said"),
    [
        # Marks that may mean two things.
        ("value\n1,000\n", {}, "line 2: column 1 (value): '1,000' has a comma: say --decimal ,"),
        ("value\n1,5\n", {}, "line 2: column 1 (value): '1,5' has a comma"),
        ('value\n"1,5"\n', {}, "'1,5' has a comma"),
        ("1,5\n2,5\n", {}, "line 1: has 2 columns ('1', '5'), and none is named value"),
        ("value;note\n12,50;lunch", {}, "line 2: column 1 (value): '12,50' has a comma"),
        ("value\n1.000\n2.345\n", {}, "line 2: column 1 (value): '1.000' is 1,000 or 1000"),
        ("value;note\n1\n", {}, "line 2: has another number of cells (1) than line 1 (2)"),
        ("value;note\n12.345;a\n", {}, "say --decimal . if the point is the decimal mark"),
        ("value\n1.5\n", {"decimal": ","}, "'1.5' must be a plain number such as 12,5"),
        ("value\n1.234,50\n", {"decimal": ","}, "'1.234,50' must be a plain number such as 12,5"),
        ("value\n1,234.50\n", {}, "'1,234.50' has a comma"),
        ("value\n1'000\n", {}, '"1\'000" must be a plain decimal number'),
        ("value\n1 000\n", {}, "'1 000' must be a plain decimal number"),
        (FRENCH, {"column": "3", "decimal": ","}, "line 3: column 3 (Montant): '1\\u202f234,00'"),
        (FRENCH, {"column": "3", "decimal": ","}, "U+202F (NARROW NO-BREAK SPACE)"),
        ("value\n1\u00a0000\n", {}, "U+00A0 (NO-BREAK SPACE)"),
        ("value\n\u22125\n", {}, "U+2212 (MINUS SIGN)"),
        ("value\n5 €\n", {}, "U+20AC (EURO SIGN)"),
        ("value\n$5\n", {}, "'$5' must be a plain decimal number"),
        ("value\n١٢\n", {}, "U+0661 (ARABIC-INDIC DIGIT ONE)"),
        ("value\n5-\n", {}, "must be a plain decimal number"),
        ("value\n(5)\n", {}, "must be a plain decimal number"),
        ("value\n1.23E+05\n", {}, "must be a plain decimal number"),
        # Delimiters that may mean two things.
        ("value,note\n12,50;lunch\n", {}, "line 2: is '12' or '12,50', as a comma or a semicolon"),
        ("id,value\n1;5,2\n", {}, "say --delimiter"),
        ("value;note, more\n1;a\n", {}, "line 1: has a comma and a semicolon: say which one"),
        ("value,note\n12,50\n", {"decimal": ","}, "say --delimiter, too"),
        ("sep=;\nvalue;note\n1;a\n", {"delimiter": ","}, "line 2: a line before says sep=;"),
        ("sep=5\n152\n", {}, "line 1"),
        # Rows that contradict the first.
        ("value,note\n1,000,rent\n", {}, "line 2: has another number of cells (3) than line 1 (2)"),
        ("id,value\n1,1\n2\n", {}, "line 3: has another number of cells (1) than line 1 (2)"),
        ("date,value\n2026-01-05,1,5\n", {}, "line 2: has another number of cells (3)"),
        ("value,note\n1,a\n,b\n", {}, "line 3: column 1 (value): the value is missing"),
        ('value,note\n1,"two\nlines"\nx,a\n', {}, "line 4: column 1 (value): 'x' must be"),
        ("value\n1\nvalue\n2\n", {}, "line 3: column 1 (value): 'value' must be"),
        ("value\n1\n5;x\n", {}, "line 3: column 1 (value): '5;x' must be"),
        # Columns.
        ("id,amount\n1,12.50\n", {}, "line 1: has 2 columns ('id', 'amount'), and none is named"),
        ("id,amount\n1,12.50\n", {"column": "sum"}, "no column is named 'sum' ('id', 'amount')"),
        ("id,amount\n1,12.50\n", {"column": "3"}, "has 2 columns, and --column says 3"),
        ("id,amount\n1,12.50\n", {"column": "0"}, "has 2 columns, and --column says 0"),
        ("id,amount\n1,12.50\n", {"column": "9" * 30}, "has 2 columns"),
        ("value,Value\n1,2\n", {}, "and several are named value"),
        ("year,2024\nnorth,5\n", {"column": "2"}, "'2024' may name the column or be its first"),
        ("a,12.50\n", {"column": "2"}, "say --header or --no-header"),
        ("value,note\n1,a\n", {"header": False}, "names its columns, and --no-header says"),
        # What is no header must not pass for one.
        ("NaN\n1\n", {}, "line 1: column 1: 'NaN' must be a finite number"),
        ("-\n1\n", {}, "line 1: column 1: '-' must be"),
        ("n/a\n1\n", {}, "line 1: column 1: 'n/a' must be"),
        ("#REF!\n1\n", {}, "line 1: column 1: '#REF!' must be"),
        ("1O\n2\n", {}, "line 1: column 1: '1O' must be"),
        ("1\n2\nthree\n", {}, "line 3: column 1: 'three' must be a plain decimal number"),
        ("value\n1\n0.1234567891\n", {}, "line 3: column 1 (value): '0.1234567891' must have"),
        # Quotes.
        ('value,note\n1,"open\n2,b\n', {}, "line 2: a quote is opened and not closed"),
        ('value,note\n5,"a\\"\n7,b"\n', {}, "line 3: a quote is opened and not closed"),
        ('value,note\n5,6" pipe and 7" pipe\n', {}, "line 2: a quote stands within a cell"),
        ('value,note\n5,"a"b\n', {}, "line 2: a quote stands within a cell"),
        # Nothing.
        ("", {}, "holds no values"),
        ("value\n", {}, "holds no values"),
        ("\n,,\n\ufeff", {}, "U+FEFF"),
        ("value\n\ufeff1\n", {}, "U+FEFF (ZERO WIDTH NO-BREAK SPACE)"),
    ],
)
def test_refuses_with_the_line_and_the_remedy(amounts, content, options, said) -> None:
    refusal = amounts(content, **options)
    assert isinstance(refusal, str), f"read as {refusal}"
    assert said in refusal


@pytest.mark.parametrize(
    ("content", "options", "expected"),
    [
        ("id,value\na,1\nb,2\n", {}, ["a=1", "b=2"]),
        ("id,value\n a b ,1\n", {}, ["a b=1"]),
        ("id,amount\n007,1\n7,2\n", {"column": "2"}, ["007=1", "7=2"]),
        ("id,value\na,1\nb,2\na,1\n", {}, "line 4: the id 'a' is that of line 2, too"),
        ("id,value\n,1\n", {}, "line 2: the id is missing"),
        ("id,value\n1.23E+15,1\n", {}, "line 2: the id '1.23E+15' was shortened by a spreadsheet"),
        ("id,value\na,1\n", {"column": "id"}, "the ids and the values can't be the same column"),
        ("value\n1\n", {}, "no column is named 'id' ('value')"),
    ],
)
def test_reads_ids(amounts, content, options, expected) -> None:
    found = amounts(content, id_column="id", **options)
    assert found == expected or (isinstance(expected, str) and expected in found)


# What spreadsheets and people have in their cells.
NUMBERS = st.one_of(
    st.decimals(-(10**6), 10**6, places=2).map(str),
    st.integers(-(10**6), 10**6).map(str),
    st.from_regex(r"[1-9][0-9]{0,2}([.,][0-9]{3}){1,2}([.,][0-9]{2})?", fullmatch=True),
    st.from_regex(r"-?[0-9]{1,3},[0-9]{1,3}", fullmatch=True),
    st.sampled_from(["", " ", "1e3", "NaN", "5 €", "1'000", "007"]),
)
NOTES = st.one_of(
    st.text("ab1 ,;|\t\n\r\"'\\.", max_size=12),
    st.dates(date(2000, 1, 1), date(2030, 1, 1)).map(str),
    NUMBERS,
)
DIALECTS = st.one_of(
    st.sampled_from(csv.list_dialects()).map(lambda name: {"dialect": name}),
    st.fixed_dictionaries(
        {
            "delimiter": st.sampled_from(",;\t|"),
            "quoting": st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC]),
            "lineterminator": st.sampled_from(["\n", "\r\n", "\r"]),
        }
    ),
    st.fixed_dictionaries(
        {
            "delimiter": st.sampled_from(",;\t|"),
            "doublequote": st.just(False),
            "escapechar": st.just("\\"),
            "quoting": st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_NONE]),
        }
    ),
)


@given(
    names=st.sampled_from([("note", "value"), ("value", "note"), ("value",), ("a", "value", "b")]),
    table=st.lists(st.tuples(NUMBERS, NOTES, NOTES), min_size=1, max_size=4),
    dialect=DIALECTS,
    beginning=st.sampled_from(["", "\ufeff", "\r\n"]),
)
@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=300, deadline=None
)
def test_what_a_writer_writes_is_read_exactly_or_refused(
    amounts, names, table, dialect, beginning
) -> None:
    written = io.StringIO(beginning, newline="")
    written.seek(0, io.SEEK_END)
    rows = [dict(zip(("value", *(set(names) - {"value"})), row, strict=False)) for row in table]
    writer = csv.DictWriter(written, names, **dialect)
    try:
        writer.writeheader()
        writer.writerows(rows)
    except csv.Error:
        reject()  # this dialect can't write it
    found = amounts(written.getvalue())
    if isinstance(found, list):
        assert found == [meant(row["value"]) for row in rows if any(map(str.strip, row.values()))]


def meant(text: str) -> str:
    """The one amount that a cell can mean, or the cell, which no amount is like."""
    try:
        return format_amount(parse_text(text.strip(" \t")))
    except InvalidAmount:
        return text
