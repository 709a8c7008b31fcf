"""Who gets gzip, and that it is the same."""

import gzip as standard

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tally.web.compression import accepts_gzip, gzip


@given(st.binary(max_size=50_000))
def test_what_was_compressed_is_the_same(body):
    assert standard.decompress(gzip(body)) == body


@pytest.mark.parametrize(
    ("given", "accepted"),
    [
        ([], False),
        ([""], False),
        (["gzip"], True),
        (["GZip"], True),
        (["deflate, gzip;q=1.0, *;q=0.5"], True),
        (["br, gzip ; q=0.001"], True),
        (["deflate", "gzip"], True),
        (["gzip;q=0"], False),
        (["gzip; q=0.000"], False),
        (["gzip;q=0, identity"], False),
        (["identity"], False),
        (["notgzip"], False),
        (["*"], False),
    ],
)
def test_gzip_is_for_who_names_it(given, accepted):
    headers = [(b"host", b"localhost"), *((b"accept-encoding", it.encode()) for it in given)]
    assert accepts_gzip(headers) == accepted
