"""The cluster and its database: made whole or begun again, and the settings they run with."""

import asyncio
import os
import socket
from pathlib import Path

import asyncpg
import pytest

from tally.embedded.postgres import start
from tally.embedded.socket_directory import PORT
from tests.support.embedded_postgres import AS_ROOT, query


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("fsync", "on"),
        ("synchronous_commit", "on"),
        ("full_page_writes", "on"),
        ("listen_addresses", ""),
        ("TimeZone", "UTC"),
        ("server_encoding", "UTF8"),
        ("max_connections", "200"),
    ],
)
def test_settings(shared, name, value):
    assert query(shared, f"SHOW {name}") == value


def test_durability_is_set_where_no_configuration_file_can_undo_it(shared):
    names = "'fsync', 'synchronous_commit', 'full_page_writes'"
    sources = query(
        shared, f"SELECT array_agg(DISTINCT source) FROM pg_settings WHERE name IN ({names})"
    )
    assert sources == ["command line"]


def test_text_is_compared_the_same_on_every_machine(shared):
    text = "SELECT datlocprovider::text || datlocale FROM pg_database WHERE datname = 'tally'"
    assert query(shared, text) == "bC.UTF-8"


def test_nothing_listens_on_tcp(shared):
    with socket.socket() as probe:
        probe.settimeout(1)
        if probe.connect_ex(("127.0.0.1", PORT)) == 0:
            pytest.skip(f"another server listens on port {PORT}: stop it")
    inodes = {
        line.split()[9]
        for table in ("tcp", "tcp6")
        for line in Path(f"/proc/{shared.pid}/net/{table}").read_text().splitlines()[1:]
    }
    descriptors = Path(f"/proc/{shared.pid}/fd")
    held = {os.readlink(entry) for entry in descriptors.iterdir()}
    assert any(name.startswith("socket:") for name in held)
    assert not held & {f"socket:[{inode}]" for inode in inodes}


def test_a_missing_database_is_made_again(roomy):
    with start(roomy / "data") as server:
        url = server.admin_url.replace("/tally?", "/postgres?")

        async def drop():
            connection = await asyncpg.connect(url)
            await connection.execute("DROP DATABASE tally")
            await connection.close()

        asyncio.run(drop())
    with start(roomy / "data") as server:
        assert query(server, "SELECT current_database()") == "tally"


def test_an_interrupted_first_start_is_begun_again(roomy):
    half = roomy / "data" / "cluster.new"
    half.mkdir(parents=True)
    (half / "PG_VERSION").write_text("18\n")
    if AS_ROOT:
        (roomy / "data").chmod(0o711)
    with start(roomy / "data") as server:
        assert query(server, "SELECT 1") == 1
    assert not half.exists()
