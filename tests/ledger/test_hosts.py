"""A database of several hosts is reached by whichever answers as asked, however the others fail.

Its certificate is checked as it was asked for.
"""

import os
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import asyncpg
import pytest
import trustme

from tally import database_url
from tally.ledger.database import Database
from tally.ledger.hosts import Hosts
from tests.support.distribution_postgres import AS_NOBODY, NOBODY, serving, standby_of
from tests.support.postgres import PATIENCE, execute
from tests.support.processes import unused_port


@pytest.fixture(scope="module")
def pair() -> Iterator[dict[str, str]]:
    """The folders of the sockets of a primary and of its standby."""
    with serving() as primary, standby_of(primary) as standby:
        yield {
            role: parse_qs(urlsplit(url).query)["host"][0]
            for role, url in (("primary", primary), ("standby", standby))
        }


@pytest.fixture
def silent() -> Iterator[str]:
    """A host that takes connections and never answers, as one that is frozen."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield str(listener.getsockname()[1])


@pytest.mark.parametrize(
    ("wanted", "order", "reached"),
    [
        ("primary", "silent standby primary", "primary"),
        ("read-write", "standby silent primary", "primary"),
        ("standby", "primary silent standby", "standby"),
        ("prefer-standby", "primary silent standby", "standby"),
        ("prefer-standby", "silent refused primary", "primary"),
        ("any", "refused silent standby primary", "standby"),
    ],
)
async def test_a_host_that_does_not_answer_keeps_nobody_from_the_others(
    pair, silent, wanted, order, reached
):
    places = {
        "silent": ("127.0.0.1", silent),
        "refused": ("127.0.0.1", "1"),
        **{role: (folder, "5432") for role, folder in pair.items()},
    }
    names, ports = zip(*(places[name] for name in order.split()), strict=True)
    database = Database(
        f"postgresql://me@/postgres?host={','.join(names)}&port={','.join(ports)}"
        f"&target_session_attrs={wanted}",
        timeout=5,
    )
    connection = await database.connect()
    try:
        in_recovery = await connection.fetchval("SELECT pg_is_in_recovery()")
    finally:
        await connection.close()
    assert in_recovery == (reached == "standby")


async def test_no_host_leads(pair):
    database = Database(
        f"postgresql://me@/postgres?host={pair['standby']},{pair['standby']}"
        "&target_session_attrs=primary",
        timeout=5,
    )
    with pytest.raises(asyncpg.TargetServerAttributeNotMatched):
        await database.connect()


async def test_a_host_s_time_is_no_longer_than_the_url_says(pair, silent):
    url = database_url.parse(
        f"postgresql://me@/postgres?host=127.0.0.1,{pair['primary']}&port={silent},5432"
        "&connect_timeout=1"
    )
    connection = await Hosts(url).connect({}, 10_000)
    await connection.close()


# --- Certificates ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def primary() -> Iterator[tuple[str, int]]:
    port = unused_port()
    with serving(port=port) as url:
        yield url, port


@pytest.fixture
def authority(primary, tmp_path, monkeypatch) -> Path:
    """The file of one that this machine trusts, and that issued the server's certificate."""
    url, _ = primary
    folder = Path(url.partition("host=")[2].partition("&")[0])
    issuer = trustme.CA()
    issued = issuer.issue_cert("localhost")
    issued.private_key_and_cert_chain_pem.write_to_path(folder / "server.pem")
    (folder / "server.pem").chmod(0o600)
    if AS_NOBODY:
        os.chown(folder / "server.pem", NOBODY, NOBODY)
    for name in ("ssl_cert_file", "ssl_key_file"):
        execute(url, f"ALTER SYSTEM SET {name} = '{folder / 'server.pem'}'")
    execute(url, "ALTER SYSTEM SET ssl = on", "SELECT pg_reload_conf()")
    issuer.cert_pem.write_to_path(tmp_path / "authority.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "authority.pem"))
    return tmp_path / "authority.pem"


CHECKED = ["sslrootcert=system", "sslmode=require&channel_binding=require"]


@pytest.mark.parametrize("parameters", CHECKED)
async def test_this_machine_s_authorities_are_trusted(primary, authority, parameters) -> None:
    hosts = Hosts(
        database_url.parse(f"postgresql://me@localhost:{primary[1]}/postgres?{parameters}")
    )
    connection = await hosts.connect({}, PATIENCE)
    query = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()"
    assert await connection.fetchval(query)
    await connection.close()


@pytest.mark.parametrize("parameters", [*CHECKED, "sslmode=verify-full&sslrootcert={other}"])
async def test_another_authority_s_certificate_is_refused(
    primary, authority, parameters, tmp_path, monkeypatch
) -> None:
    other = tmp_path / "other.pem"
    trustme.CA().cert_pem.write_to_path(other)
    monkeypatch.setenv("SSL_CERT_FILE", str(other))
    url = f"postgresql://me@localhost:{primary[1]}/postgres?{parameters.format(other=other)}"
    with pytest.raises(ssl.SSLCertVerificationError):
        await Hosts(database_url.parse(url)).connect({}, PATIENCE)


@pytest.mark.parametrize("parameters", CHECKED)
async def test_another_host_s_certificate_is_refused(primary, authority, parameters) -> None:
    url = f"postgresql://me@127.0.0.1:{primary[1]}/postgres?{parameters}"
    with pytest.raises(ssl.SSLCertVerificationError):
        await Hosts(database_url.parse(url)).connect({}, PATIENCE)
