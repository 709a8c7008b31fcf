"""The fast path's reader of a plain value, held to the careful one."""

from hypothesis import example, given
from hypothesis import strategies as st

from tally.services.values import Values, read_plain, read_values

BLANKS = st.text(" \t\r\n", max_size=2) | st.sampled_from(["\u00a0", "\ufeff", "\v"])
DIGITS = st.text("0123456789", max_size=20) | st.sampled_from(["0" * 18, "9" * 18, "\u0663"])
NUMBERS = st.one_of(
    st.decimals(allow_nan=False, allow_infinity=False).map(str),
    st.builds("{}{}.{}".format, st.sampled_from(["", "-", "+", "--"]), DIGITS, DIGITS),
    st.builds("{}{}".format, st.sampled_from(["", "-", "+", " "]), DIGITS),
    st.builds("{}e{}".format, DIGITS, DIGITS),
    st.sampled_from(["true", "null", "NaN", "[1]", "-0", "1.", ".5"]),
)


@st.composite
def bodies(draw):
    """Bodies of the plain grammar, and some that are not quite."""
    blank = [draw(st.just("") | BLANKS) for _ in range(6)]
    name = draw(st.sampled_from(["value"] * 4 + ["values", "Value", ""]))
    value = draw(NUMBERS | NUMBERS.map('"{}"'.format))
    body = f'{blank[0]}{{{blank[1]}"{name}"{blank[2]}:{blank[3]}{value}{blank[4]}}}{blank[5]}'
    if draw(st.integers(0, 4)) == 0:
        cut = draw(st.integers(0, len(body)))
        body = body[:cut] + body[cut + 1 :]
    return body.encode()


@given(bodies())
@example(b'{"value": "-0"}')
@example(b'{"value": -0.000000001}')
@example(b'{"value": "007.500"}')
@example(b'{"value": 999999999999999999.999999999}')
@example(b'{"value": 1}\n')
def test_what_is_read_plainly_is_read_carefully_to_the_same_amount(body) -> None:
    plain = read_plain(body)
    if plain is not None:
        assert read_values(body) == Values((plain,), batch=False)


def test_the_plainest_bodies_are_read_plainly() -> None:
    for body in (b'{"value": 12.5}', b'{"value":"12.5"}', b' {"value" : "+12.50"}\n'):
        assert read_plain(body) == 12_500_000_000
