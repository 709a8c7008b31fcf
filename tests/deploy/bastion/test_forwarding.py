"""The bastion forwards nothing, and copies no file."""

import contextlib
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.guests import cloud as clouds
from tests.support.guests.cloud import Cloud
from tests.support.guests.guest import Guest, wait
from tests.support.guests.operator import SECONDS, Operator
from tests.support.processes import unused_port
from tests.support.programs import need


@contextlib.contextmanager
def forwarding(operator: Operator, *options: str) -> Iterator[subprocess.Popen[str]]:
    """Hold a connection that forwards, and runs nothing."""
    command = ["ssh", "-N", *options, *operator.options(), f"ec2-user@{operator.bastion.address}"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as connection:
        try:
            yield connection
        finally:
            connection.terminate()


def refused(address: str | tuple[str, int], greeting: bytes) -> None:
    """Say something to a forwarded port as soon as it is there, and get no answer."""
    family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
    with socket.socket(family) as client:
        wait(lambda: client.connect_ex(address) == 0)
        client.settimeout(SECONDS)
        with contextlib.suppress(ConnectionError):
            client.sendall(greeting)
            assert client.recv(1) == b""


# To PostgreSQL: does it do TLS? The database itself answers S.
ASK_FOR_TLS = bytes((0, 0, 0, 8, 4, 210, 22, 47))


def test_no_local_port_is_forwarded(operator: Operator, the_cloud: Cloud) -> None:
    # What would be forwarded to is there.
    with socket.create_connection((the_cloud.network.cloud_address, 5432)) as database:
        database.sendall(ASK_FOR_TLS)
        assert database.recv(1) == b"S"
    port = unused_port()
    with forwarding(operator, "-L", f"{port}:{clouds.DATABASE_HOST}:5432") as connection:
        refused(("127.0.0.1", port), ASK_FOR_TLS)
        connection.terminate()
        assert "administratively prohibited" in connection.communicate()[1]


def test_no_proxy_is_given(operator: Operator) -> None:
    port = unused_port()
    with forwarding(operator, "-D", f"{port}") as connection:
        # SOCKS 4, to which nothing has to be answered before the connection is made.
        refused(("127.0.0.1", port), bytes((4, 1, 0, 22, 127, 0, 0, 1, 0)))
        connection.terminate()
        assert "administratively prohibited" in connection.communicate()[1]


def test_no_socket_is_forwarded(bastion: Guest, operator: Operator, tmp_path: Path) -> None:
    file = tmp_path / "socket"
    with forwarding(operator, "-L", f"{file}:/run/dbus/system_bus_socket") as connection:
        refused(str(file), b"\0AUTH EXTERNAL\r\n")
        connection.terminate()
        assert "open failed" in connection.communicate()[1]
    # The client can't tell this from a socket that is not there.
    log = bastion.root / "var/log/secure"
    wait(lambda: "refused streamlocal port forward" in log.read_text())


@pytest.mark.parametrize(
    ("asked", "refusal"),
    [
        ("0:127.0.0.1:22", "remote port forwarding failed for listen port 0"),
        ("/tmp/remote.socket:127.0.0.1:22", "remote port forwarding failed for listen path"),
    ],
    ids=["port", "socket"],
)
def test_nothing_is_forwarded_from_there(
    bastion: Guest, operator: Operator, asked: str, refusal: str
) -> None:
    done = operator.ssh(options=("-N", "-o", "ExitOnForwardFailure=yes", "-R", asked))
    assert done.returncode == 255
    assert refusal in done.stderr
    assert not (bastion.root / "tmp/remote.socket").exists()


def test_no_tunnel_is_made(bastion: Guest, operator: Operator) -> None:
    if not Path("/dev/net/tun").exists():
        pytest.skip("ssh asks for no tunnel without /dev/net/tun: load the kernel's module tun")
    # An end that the operator may use, so that only sshd is in the way.
    bastion.run("chmod", "666", "/dev/net/tun")
    bastion.run("ip", "tuntap", "add", "dev", "tun7", "mode", "tun", "user", "ec2-user")
    done = operator.ssh(options=("-N", "-o", "ExitOnForwardFailure=yes", "-w", "any:7"))
    assert done.returncode == 255
    assert "Tunnel forwarding failed" in done.stderr


def test_no_agent_is_forwarded(operator: Operator, tmp_path: Path) -> None:
    need("ssh-agent")
    place = str(tmp_path / "agent")
    with subprocess.Popen(["ssh-agent", "-D", "-a", place], stdout=subprocess.DEVNULL) as agent:
        try:
            wait(Path(place).exists)
            done = operator.ssh(
                'echo "agent: $SSH_AUTH_SOCK."',
                options=("-A",),
                environment={"SSH_AUTH_SOCK": place},
            )
        finally:
            agent.terminate()
    assert done.stdout == "agent: .\n"


def test_no_display_is_forwarded(operator: Operator) -> None:
    done = operator.ssh(
        'echo "display: $DISPLAY."', options=("-Y",), environment={"DISPLAY": "127.0.0.1:0"}
    )
    assert done.stdout == "display: .\n"
    assert "X11 forwarding request failed" in done.stderr


@pytest.mark.parametrize("program", [("sftp", "-b", "-"), ("scp",), ("scp", "-O")], ids=" ".join)
def test_no_file_is_copied(
    operator: Operator, bastion: Guest, tmp_path: Path, program: tuple[str, ...]
) -> None:
    place = f"ec2-user@{bastion.address}"
    arguments = [place] if program[0] == "sftp" else [f"{place}:/etc/hosts", str(tmp_path)]
    done = subprocess.run(
        [*program, *operator.options(), *arguments],
        input="get /etc/hosts\n",
        capture_output=True,
        text=True,
        check=False,
        timeout=SECONDS,
        cwd=tmp_path,
    )
    assert done.returncode != 0
    # Of a subsystem, which the first two ask for, sshd passes nothing of that kind on.
    said = "this machine copies no files" if "-O" in program else "closed"
    assert said in done.stderr
    assert list(tmp_path.iterdir()) == []
