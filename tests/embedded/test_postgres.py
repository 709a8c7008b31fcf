"""The private PostgreSQL server, tried on real servers and real processes."""

import asyncio
import os
import socket
import subprocess
import time
from pathlib import Path
from urllib.parse import quote

import asyncpg
import pytest

from tally.embedded.data_directory import PORT
from tally.embedded.postgres import Server, running, start
from tests.support.accounts import AS_ROOT, HOLD, another_process, query, refusal, said


def test_committed_rows_survive_a_restart(roomy):
    with start(roomy / "data") as server:
        query(server, "CREATE TABLE kept AS SELECT 42 AS value")
    began = time.monotonic()
    with start(roomy / "data") as server:
        assert query(server, "SELECT value FROM kept") == 42
    assert time.monotonic() - began < 5


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
            pytest.skip("another server of this machine listens on the port")
    inodes = {
        line.split()[9]
        for table in ("tcp", "tcp6")
        for line in Path(f"/proc/{shared.pid}/net/{table}").read_text().splitlines()[1:]
    }
    descriptors = Path(f"/proc/{shared.pid}/fd")
    held = {os.readlink(entry) for entry in descriptors.iterdir()}
    assert any(name.startswith("socket:") for name in held)
    assert not held & {f"socket:[{inode}]" for inode in inodes}


def test_role_names_and_the_socket_are_escaped_in_urls(shared):
    url = shared.url("odd@role")
    assert url.startswith("postgresql://odd%40role@/tally?host=%2F")
    assert " " not in url
    assert "port=5432" in url


def test_running_attaches_without_owning(shared):
    attached = running(shared.folder)
    assert attached is not None
    assert attached.pid == shared.pid
    assert attached.alive
    with attached:
        assert query(attached, "SELECT current_database()") == "tally"
    assert query(shared, "SELECT 1") == 1


def test_running_finds_nothing_where_nothing_runs(roomy):
    assert running(roomy / "missing") is None
    with start(roomy / "data") as server:
        folder = server.folder
    assert running(folder) is None


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


def test_the_user_s_own_postgres_variables_change_nothing(roomy, monkeypatch):
    monkeypatch.setenv("PGPORT", "1")
    monkeypatch.setenv("PGHOST", "/nowhere")
    monkeypatch.setenv("PGOPTIONS", "-c broken=")
    monkeypatch.setenv("PGDATA", "/nowhere")
    with start(roomy / "data") as server:
        monkeypatch.delenv("PGOPTIONS")
        assert query(server, "SELECT 1") == 1


def test_an_interrupted_first_start_is_begun_again(roomy):
    half = roomy / "data" / "cluster.new"
    half.mkdir(parents=True)
    (half / "PG_VERSION").write_text("18\n")
    if AS_ROOT:
        (roomy / "data").chmod(0o711)
    with start(roomy / "data") as server:
        assert query(server, "SELECT 1") == 1
    assert not half.exists()


def test_a_file_instead_of_a_folder_is_refused(roomy):
    (roomy / "data").write_text("")
    for folder in (roomy / "data", roomy / "data" / "deeper"):
        message = refusal(folder)
        assert message.startswith(f"data folder {folder} can't be used: Not a directory")


@pytest.mark.skipif(not AS_ROOT, reason="only root may mount a small disk")
def test_a_full_disk_is_named_and_leaves_nothing(roomy):
    disk = roomy / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=8m,mode=755", "none", str(disk)]
    mounted = subprocess.run(mount, capture_output=True, text=True, check=False)
    if mounted.returncode != 0:
        pytest.skip(f"no small disk could be mounted: {mounted.stderr.strip()}")
    try:
        assert "No space left on device" in refusal(disk / "data")
        assert {entry.name for entry in (disk / "data").iterdir()} == {"lock"}
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_an_ordinary_user_runs_it_as_himself(roomy, ordinary):
    with another_process(HOLD, roomy / "data", **ordinary) as process:
        pid, folder = said(process)
        assert folder == roomy / "data"
        assert folder.stat().st_mode & 0o777 == 0o700
        assert Path(f"/proc/{pid}").stat().st_uid == roomy.stat().st_uid
        attached = running(folder)
        assert attached is not None
        query(attached, "CREATE TABLE kept AS SELECT 42 AS value")
        _, complaints = process.communicate("", timeout=20)
        assert (process.returncode, complaints) == (0, "")
    # The same folder by root, which goes on as the owner of the data, or by the user again.
    with start(folder) as server:
        assert query(server, "SELECT value FROM kept") == 42
        assert Path(f"/proc/{server.pid}").stat().st_uid == roomy.stat().st_uid


def test_an_unwritable_folder_is_refused(roomy, ordinary):
    (roomy / "locked").mkdir(mode=0o555)
    for folder in (roomy / "locked", roomy / "locked" / "data"):
        with another_process(HOLD, folder, **ordinary) as process:
            _, message = process.communicate("", timeout=20)
        assert process.returncode == 1
        assert message.startswith(f"data folder {folder} can't be used: Permission denied")
        assert "make it writable" in message
        assert message.count("\n") == 1


def test_urls_quote_what_paths_may_hold():
    odd = Path("/a b/ü&=?#/run")
    server = Server(Path("/"), odd, 1, None)
    assert f"host={quote(str(odd), safe='')}&" in server.admin_url
