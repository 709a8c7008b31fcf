"""A database of several hosts is reached by whichever answers as asked, however the others fail.

Its certificate is checked as it was asked for.
"""

import os
import random
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest.mock import Mock
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


# --- Which host is asked for what -----------------------------------------------------------------


class Peer:
    """A server's end, without a socket to keep alive."""

    def __init__(self) -> None:
        self._transport = self

    def get_extra_info(self, name: str) -> None:
        assert name == "socket"


class Asked(list[dict[str, Any]]):
    """What asyncpg is asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.refuse: dict[str, Exception] = {}
        """What hosts raise."""

    @property
    def hosts(self) -> list[str]:
        """Take those that were asked since."""
        found = [it["host"] for it in self]
        self.clear()
        return found


@pytest.fixture
def asked(monkeypatch) -> Asked:
    asked = Asked()

    async def connect(dsn, **options):
        asked.append({"dsn": dsn, **options})
        if options["host"] in asked.refuse:
            raise asked.refuse[options["host"]]
        return Peer()

    monkeypatch.setattr(asyncpg, "connect", connect)
    return asked


def hosts_of(parameters: str, names: str = "a,b,c") -> Hosts:
    return Hosts(
        database_url.parse(f"postgresql://me@/x?host={names}{parameters and f'&{parameters}'}")
    )


async def test_the_one_that_answered_last_comes_first(asked) -> None:
    hosts = hosts_of("")
    asked.refuse = {"a": ConnectionRefusedError("a"), "b": ConnectionResetError("b")}
    await hosts.connect({}, 9)
    assert asked.hosts == ["a", "b", "c"]
    asked.refuse = {}
    for _ in range(3):
        await hosts.connect({}, 9)
        assert asked.hosts == ["c"]
        assert hosts.last == ("c", None)
    asked.refuse = {it: ConnectionRefusedError(it) for it in "abc"}
    with pytest.raises(ConnectionRefusedError, match="b"):
        await hosts.connect({}, 9)
    assert asked.hosts == ["c", "a", "b"]


async def test_who_refuses_a_login_is_not_the_wrong_host(asked) -> None:
    asked.refuse = {"a": asyncpg.InvalidPasswordError("no")}
    with pytest.raises(asyncpg.InvalidPasswordError):
        await hosts_of("").connect({}, 9)
    assert asked.hosts == ["a"]


@pytest.mark.parametrize(("how", "first"), [("random", "c"), ("disable", "a")])
async def test_load_is_balanced_where_it_is_asked_for(asked, monkeypatch, how, first) -> None:
    monkeypatch.setattr(random, "shuffle", list.reverse)
    await hosts_of(f"load_balance_hosts={how}").connect({}, 9)
    assert asked.hosts == [first]


@pytest.mark.parametrize(
    ("parameters", "seconds"),
    [
        ("", 3.0),
        ("connect_timeout=0", 3.0),
        ("connect_timeout=2", 2.0),
        ("connect_timeout=4", 3.0),
        ("target_session_attrs=prefer-standby", 1.5),
    ],
)
async def test_each_host_has_its_share_of_the_time(asked, parameters, seconds) -> None:
    await hosts_of(parameters).connect({}, 9)
    assert [it["timeout"] for it in asked] == [seconds]


async def test_any_will_do_where_no_standby_answers(asked) -> None:
    asked.refuse = {it: ConnectionRefusedError(it) for it in "ab"}
    with pytest.raises(ConnectionRefusedError):
        await hosts_of("target_session_attrs=prefer-standby", "a,b").connect({}, 9)
    found = [(it["host"], it["target_session_attrs"]) for it in asked]
    assert found == [("a", "standby"), ("b", "standby"), ("a", "any"), ("b", "any")]


async def test_without_a_host_it_is_this_machine_s(asked) -> None:
    hosts = Hosts(database_url.parse("postgresql://me@/x"))
    await hosts.connect({}, 9)
    assert [(it["host"], it["port"]) for it in asked] == [(None, None)]


async def test_what_the_url_says_is_handed_on(asked) -> None:
    hosts = hosts_of(
        "options=-c%20a.b%3D1&sslmode=require&servicefile=f&connect_timeout=2&krbsrvname=k"
    )
    await hosts.connect({"lock_timeout": "0"}, 9)
    [it] = asked
    assert it["server_settings"] == {"options": "-c a.b=1", "lock_timeout": "0"}
    assert (it["servicefile"], it["ssl"]) == ("f", None)
    handed = parse_qs(urlsplit(it["dsn"]).query)
    assert handed == {"user": ["me"], "dbname": ["x"], "sslmode": ["require"], "krbsrvname": ["k"]}


async def test_without_options_none_are_sent(asked) -> None:
    await hosts_of("").connect({}, 9)
    assert asked[0]["server_settings"] == {}


async def test_a_client_s_certificate_goes_with_this_machine_s_authorities(
    asked, monkeypatch
) -> None:
    context = Mock()
    monkeypatch.setattr(ssl, "create_default_context", lambda: context)
    await hosts_of("sslrootcert=system&sslcert=c&sslkey=k&sslpassword=p").connect({}, 9)
    assert asked[0]["ssl"] is context
    context.set_alpn_protocols.assert_called_once_with(["postgresql"])
    context.load_cert_chain.assert_called_once_with("c", "k", "p")


# --- A network that is dead -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("parameters", "kept", "waits"),
    [
        ("", (1, 10, 5, 3), 30_000),
        ("keepalives_idle=7&keepalives_count=2&tcp_user_timeout=9000", (1, 7, 5, 2), 9000),
        ("keepalives_interval=4&tcp_user_timeout=0", (1, 10, 4, 3), 30_000),
    ],
)
async def test_a_connection_is_kept_alive(primary, parameters, kept, waits) -> None:
    options = [socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT]
    with await peer_of(primary, parameters) as peer:
        found = [peer.getsockopt(socket.IPPROTO_TCP, it) for it in options]
        assert (peer.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE), *found) == kept
        assert peer.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == waits


async def test_a_connection_is_left_alone_where_that_is_asked_for(primary) -> None:
    with await peer_of(primary, "keepalives=0") as peer:
        assert peer.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 0
        assert peer.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 0


async def peer_of(primary: tuple[str, int], parameters: str) -> socket.socket:
    """The socket of a connection, as it stands after its end."""
    url = f"postgresql://me@127.0.0.1:{primary[1]}/postgres?sslmode=disable&{parameters}".rstrip(
        "&"
    )
    connection = await Hosts(database_url.parse(url)).connect({}, PATIENCE)
    peer: socket.socket = connection._transport.get_extra_info("socket")
    copy = socket.socket(fileno=os.dup(peer.fileno()))
    await connection.close()
    return copy


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
