"""The private PostgreSQL server, tried on real servers and real processes."""

import subprocess
from pathlib import Path
from urllib.parse import quote

import pytest

from tally.embedded.postgres import Server, running, start
from tests.support.embedded_postgres import AS_ROOT, HOLD, another_process, query, refusal, said


def test_committed_rows_survive_a_restart(roomy):
    with start(roomy / "data") as server:
        query(server, "CREATE TABLE kept AS SELECT 42 AS value")
    with start(roomy / "data") as server:
        assert query(server, "SELECT value FROM kept") == 42


def test_role_names_and_the_socket_are_escaped_in_urls(shared):
    url = shared.url("odd@role")
    assert url.startswith("postgresql://odd%40role@/tally?host=%2F")
    assert " " not in url
    assert "port=5432" in url


def test_running_attaches_without_owning(shared):
    attached = running(shared.directory)
    assert attached is not None
    assert attached.pid == shared.pid
    assert attached.alive
    with attached:
        assert query(attached, "SELECT current_database()") == "tally"
    assert query(shared, "SELECT 1") == 1


def test_running_finds_nothing_where_nothing_runs(roomy):
    assert running(roomy / "missing") is None
    with start(roomy / "data") as server:
        directory = server.directory
    assert running(directory) is None


def test_the_user_s_own_postgres_variables_change_nothing(roomy, monkeypatch):
    monkeypatch.setenv("PGPORT", "1")
    monkeypatch.setenv("PGHOST", "/nowhere")
    monkeypatch.setenv("PGOPTIONS", "-c broken=")
    monkeypatch.setenv("PGDATA", "/nowhere")
    with start(roomy / "data") as server:
        monkeypatch.delenv("PGOPTIONS")
        assert query(server, "SELECT 1") == 1


def test_a_file_instead_of_a_folder_is_refused(roomy):
    (roomy / "data").write_text("")
    for directory in (roomy / "data", roomy / "data" / "deeper"):
        message = refusal(directory)
        assert message.startswith(f"data directory {directory} can't be used: Not a directory")


@pytest.mark.skipif(not AS_ROOT, reason="only root may mount a small disk")
def test_a_full_disk_is_named_and_leaves_nothing(roomy):
    disk = roomy / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=8m,mode=755", "none", str(disk)]
    mounted = subprocess.run(mount, capture_output=True, text=True, check=False)
    if mounted.returncode != 0:
        why = mounted.stderr.strip()
        pytest.skip(f"root may mount no disk ({why}): run `make test` outside a container")
    try:
        assert "No space left on device" in refusal(disk / "data")
        assert {entry.name for entry in (disk / "data").iterdir()} == {"lock"}
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_an_ordinary_user_runs_it_as_himself(roomy, ordinary):
    with another_process(HOLD, roomy / "data", **ordinary) as process:
        pid, directory = said(process)
        assert directory == roomy / "data"
        assert directory.stat().st_mode & 0o777 == 0o700
        assert Path(f"/proc/{pid}").stat().st_uid == roomy.stat().st_uid
        attached = running(directory)
        assert attached is not None
        query(attached, "CREATE TABLE kept AS SELECT 42 AS value")
        _, complaints = process.communicate("", timeout=60)
        assert (process.returncode, complaints) == (0, "")
    # The same directory by root, which goes on as the owner of the data, or by the user again.
    with start(directory) as server:
        assert query(server, "SELECT value FROM kept") == 42
        assert Path(f"/proc/{server.pid}").stat().st_uid == roomy.stat().st_uid


def test_an_unwritable_folder_is_refused(roomy, ordinary):
    (roomy / "locked").mkdir(mode=0o555)
    for directory in (roomy / "locked", roomy / "locked" / "data"):
        with another_process(HOLD, directory, **ordinary) as process:
            _, message = process.communicate("", timeout=60)
        assert process.returncode == 1
        assert message.startswith(f"data directory {directory} can't be used: Permission denied")
        assert "make it writable" in message
        assert message.count("\n") == 1


def test_urls_quote_what_paths_may_hold():
    odd = Path("/a b/ü&=?#/run")
    server = Server(Path("/"), odd, 1, None)
    assert f"host={quote(str(odd), safe='')}&" in server.admin_url
