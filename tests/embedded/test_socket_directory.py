"""Where the socket goes: private, and with a path that PostgreSQL and its clients take."""

from pathlib import Path

from tally.embedded.accounts import SERVICES
from tally.embedded.postgres import running, start
from tests.support.embedded_postgres import AS_ROOT, query, refusal

# Root lets a group in that is its services' alone.
PRIVATE = 0o710 if AS_ROOT else 0o700


def test_the_socket_is_closed_to_other_users(shared):
    status = shared.sockets.stat()
    assert status.st_mode & 0o777 == PRIVATE
    assert status.st_uid == Path(f"/proc/{shared.pid}").stat().st_uid
    if AS_ROOT:
        assert status.st_gid == SERVICES.gid


def test_a_very_long_path_gets_a_short_private_socket(roomy):
    directory = roomy.joinpath(*(["a rather long name " * 5] * 4), "data")
    with start(directory) as server:
        sockets = server.sockets
        assert query(server, "SELECT 1") == 1
        attached = running(directory)
        assert attached is not None
        assert attached.admin_url == server.admin_url
    assert directory not in sockets.parents
    assert sockets.stat().st_mode & 0o777 == PRIVATE
    sockets.rmdir()


def test_a_short_socket_folder_of_somebody_else_is_refused(roomy):
    directory = roomy.joinpath(*(["a rather long name " * 5] * 4), "data")
    with start(directory) as server:
        sockets = server.sockets
    sockets.chmod(0o755)
    assert f"{sockets} is not a private directory" in refusal(directory)
    sockets.rmdir()


def test_an_odd_path_works(roomy):
    with start(roomy / "a,b:c'd@é %20") as server:
        assert query(server, "SELECT 1") == 1
        sockets = server.sockets
    sockets.rmdir()
