"""The bastion, booted with the user data that Terraform renders: who gets in, and what is kept.

With OpenSSH's own clients, against an emulator of AWS and a real PostgreSQL under the name that it
has on AWS, over TLS that is verified. What differs from the machine on AWS stands in
deploy/bastion/README.md.
"""

import contextlib
import json
import os
import re
import shutil
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.guests import cloud as clouds
from tests.support.guests.cloud import Cloud
from tests.support.guests.guest import Guest, wait
from tests.support.guests.release import PROJECT

SETTINGS = PROJECT / "deploy/bastion/machine/etc/ssh/bastion.conf"
SESSIONS = "/var/log/sessions"
# For ssh and what it runs, on a busy machine.
SECONDS = 60


@dataclass(frozen=True)
class Operator:
    """Somebody with the operator's key, and the machine's own key to know it by."""

    bastion: Guest
    key: Path
    folder: Path

    def options(self) -> list[str]:
        settings = {
            "BatchMode": "yes",
            "ConnectTimeout": "10",
            "IdentitiesOnly": "yes",
            "IdentityFile": self.key,
            "StrictHostKeyChecking": "yes",
            "UserKnownHostsFile": self.folder / "known_hosts",
        }
        return [
            *("-F", "none"),
            *(part for name, value in settings.items() for part in ("-o", f'{name}="{value}"')),
        ]

    def ssh(
        self,
        *command: str,
        options: tuple[str, ...] = (),
        user: str = "ec2-user",
        said: str = "",
        environment: dict[str, str] | None = None,
    ) -> subprocess.CompletedProcess[str]:
        """Run ssh with this on its standard input."""
        return subprocess.run(
            ["ssh", *options, *self.options(), f"{user}@{self.bastion.address}", *command],
            input=said,
            env={**os.environ, **(environment or {})},
            capture_output=True,
            text=True,
            check=False,
            timeout=SECONDS,
        )

    def shell(self, *lines: str) -> subprocess.CompletedProcess[str]:
        """Type these lines into a shell on a terminal, and end it with the status of the last."""
        return self.ssh(options=("-tt",), said="".join(f"{line}\n" for line in (*lines, "exit")))


@pytest.fixture(scope="module")
def operator(
    bastion: Guest, operators_key: Path, tmp_path_factory: pytest.TempPathFactory
) -> Operator:
    folder = tmp_path_factory.mktemp("operator")
    host_key = (bastion.root / "etc/ssh/ssh_host_ed25519_key.pub").read_text()
    (folder / "known_hosts").write_text(f"{bastion.address} {host_key}")
    return Operator(bastion, operators_key, folder)


def records(bastion: Guest) -> dict[str, str]:
    folder = bastion.root / SESSIONS.lstrip("/")
    return {file.name: file.read_text(errors="replace") for file in folder.glob("*.log")}


@contextlib.contextmanager
def one_record(bastion: Guest) -> Iterator[list[str]]:
    """Give the name and the text of the one record that is made meanwhile."""
    before, found = records(bastion), []
    yield found
    after = records(bastion)
    (name,) = after.keys() - before.keys()
    found[:] = name, after[name]


# Set-up


def test_cloud_init_did_all_of_it(bastion: Guest) -> None:
    status = bastion.output("cloud-init", "status", "--long")
    assert "status: done" in status
    for unit in ("sshd", "rsyslog"):
        assert bastion.output("systemctl", "is-enabled", unit) == "enabled"
        assert bastion.output("systemctl", "is-active", unit) == "active"


def test_ssh_listens_and_nothing_else_does(bastion: Guest) -> None:
    listening = bastion.output("ss", "--no-header", "--listening", "--tcp", "--udp", "--numeric")
    assert {(line.split()[0], line.split()[4]) for line in listening.splitlines()} == {
        ("tcp", "0.0.0.0:22"),
        ("tcp", "[::]:22"),
    }


def test_there_is_swap_before_packages_are_installed(bastion: Guest) -> None:
    """All but the kernel's use of it, which a container may not ask for."""
    file = bastion.root / "swapfile"
    assert bastion.output("stat", "--format=%s %a %U", "/swapfile") == f"{1 << 30} 600 root"
    with file.open("rb") as content:
        content.seek(4096 - 10)
        assert content.read(10) == b"SWAPSPACE2"
    mounts = [line.split() for line in (bastion.root / "etc/fstab").read_text().splitlines()]
    assert [line[1:3] for line in mounts if line[:1] == ["/swapfile"]] == [["none", "swap"]]
    log = (bastion.root / "var/log/cloud-init.log").read_text()
    asked = [
        log.index(step) for step in ("'mkswap', '/swapfile'", "'swapon', '-a'", "postgresql17")
    ]
    assert asked == sorted(asked)


# How sshd is set


def test_sshd_has_exactly_the_settings_that_are_promised(bastion: Guest) -> None:
    has = set(bastion.output("sshd", "-T").lower().splitlines())
    promised = [line for line in SETTINGS.read_text().lower().splitlines() if line[0] != "#"]
    assert [line for line in promised if line not in has] == []


def test_the_settings_hold_though_sshd_reads_no_folder_of_them(bastion: Guest) -> None:
    for _ in range(2):
        # As at each start.
        bastion.run("cloud-init", "single", "--name", "bootcmd", "--frequency", "always")
        settings = (bastion.root / "etc/ssh/sshd_config").read_text().splitlines()
        included = [line for line in settings if line.startswith("Include")]
        assert included == settings[:1] == ["Include /etc/ssh/bastion.conf"]


# What is kept


def test_a_command_is_recorded_and_its_status_passed_on(bastion: Guest, operator: Operator) -> None:
    with one_record(bastion) as record:
        done = operator.ssh("echo seen; sleep 0.1; echo said >&2; exit 7")
    assert (done.returncode, done.stdout, done.stderr) == (7, "seen\n", "said\n")
    name, text = record
    assert re.fullmatch(r"\d{8}T\d{6}Z-ec2-user-\d+\.log", name)
    # What was asked for, what came of it, and how it ended.
    began, *shown, ended = text.splitlines()
    assert began.endswith("without a terminal: echo seen; sleep 0.1; echo said >&2; exit 7")
    assert shown == ["seen", "said"]
    assert ended.endswith("with the status 7")


def test_a_command_on_a_terminal_is_recorded(bastion: Guest, operator: Operator) -> None:
    with one_record(bastion) as record:
        done = operator.ssh("tty; exit 4", options=("-tt",))
    assert done.returncode == 4
    assert re.fullmatch(r"/dev/pts/\d+\n", done.stdout)
    began, shown, *_, ended = record[1].splitlines()
    assert "tty; exit 4" in began
    assert shown == done.stdout.strip()
    assert 'COMMAND_EXIT_CODE="4"' in ended


def test_a_shell_is_recorded_and_its_status_passed_on(bastion: Guest, operator: Operator) -> None:
    with one_record(bastion) as record:
        done = operator.shell("echo $((6 * 7)) $(id -un) $(tty)", "(exit 5)")
    assert done.returncode == 5
    assert re.search(r"^42 ec2-user /dev/pts/\d+$", done.stdout, re.MULTILINE)
    _, text = record
    assert "42 ec2-user /dev/pts/" in text
    assert "(exit 5)" in text


def test_without_a_terminal_every_byte_passes_as_it_is(operator: Operator) -> None:
    sent = bytes(range(256)) * 256
    command = ["ssh", *operator.options(), f"ec2-user@{operator.bastion.address}", "cat"]
    done = subprocess.run(command, input=sent, capture_output=True, check=True, timeout=SECONDS)
    assert (done.stdout, done.stderr) == (sent, b"")


def test_a_session_can_neither_list_nor_read_nor_change_records(
    bastion: Guest, operator: Operator
) -> None:
    with one_record(bastion) as record:
        operator.ssh("echo private")
    name, text = record
    file = f"{SESSIONS}/{name}"
    for attempt in (
        f"ls {SESSIONS}",
        f"cat {file}",
        f"rm -f {file}",
        f"truncate -s 0 {file}",
        f"mv {file} {SESSIONS}/other",
        f"touch {SESSIONS}/mine",
        f"sudo -n cat {file}",
        f"sudo -n -u recorder cat {file}",
        f"sudo -n -u recorder rm {file}",
        f"sudo -n -u recorder /usr/local/bin/keep-session {file}",
    ):
        done = operator.ssh(attempt)
        assert done.returncode != 0, attempt
        assert re.search("[Pp]ermission denied|password is required", done.stderr), attempt
        assert "private" not in done.stdout
    assert records(bastion)[name] == text
    # Nor does a session see what another one, or it itself, is being kept in.
    seen = operator.ssh("cat /proc/[0-9]*/cmdline | tr '\\0' ' '; ls -l /proc/[0-9]*/fd")
    assert SESSIONS not in seen.stdout


def test_a_session_may_become_nobody_else(bastion: Guest, operator: Operator) -> None:
    listed = operator.ssh("sudo -n -l").stdout.split("may run the following commands")[1]
    assert re.findall(r"\(.*", listed) == ['(recorder) NOPASSWD: /usr/local/bin/keep-session ""']
    done = operator.ssh("sudo -n true")
    assert done.returncode != 0


def test_nothing_can_be_left_for_the_next_session_to_run(
    bastion: Guest, operator: Operator
) -> None:
    for file in (".bashrc", ".bash_profile", ".profile", ".ssh/rc", ".ssh/authorized_keys", ".new"):
        done = operator.ssh(f"echo left >>/home/ec2-user/{file}")
        assert done.returncode != 0, file
        assert "Permission denied" in done.stderr


def test_without_a_place_for_its_record_there_is_no_session(
    bastion: Guest, operator: Operator
) -> None:
    bastion.run("mv", SESSIONS, f"{SESSIONS}.away")
    try:
        done = operator.ssh("touch /tmp/reached; echo reached")
    finally:
        bastion.run("mv", f"{SESSIONS}.away", SESSIONS)
    assert done.returncode == 1
    assert done.stdout == ""
    assert "no record can be kept, so there is no session" in done.stderr
    assert not (bastion.root / "tmp/reached").exists()
    # And again with one.
    assert operator.ssh("true").returncode == 0


@pytest.mark.parametrize("terminal", ["-T", "-tt"])
def test_a_session_ends_with_its_record(bastion: Guest, operator: Operator, terminal: str) -> None:
    """Whatever goes wrong: a full disk, or somebody who ends the keeper as root."""
    said = f"ready {terminal}"
    command = ["ssh", terminal, *operator.options(), f"ec2-user@{bastion.address}"]
    command.append(f"echo {said}; while sleep 0.1; do echo on; done")
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stdin=subprocess.PIPE) as session:
        try:
            wait(lambda: any(f"\n{said}" in text for text in records(bastion).values()))
            bastion.run("pkill", "-KILL", "-u", "recorder", "-x", "cat")
            assert session.wait(timeout=SECONDS) != 0
        finally:
            session.kill()


def test_logins_are_written_where_the_agent_reads_them(
    bastion: Guest, operator: Operator, operators_key: Path
) -> None:
    operator.ssh("true")
    fingerprint = subprocess.run(
        ["ssh-keygen", "-l", "-f", operators_key.with_suffix(".pub")],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()[1]
    log = bastion.root / "var/log/secure"
    accepted = f"Accepted publickey for ec2-user from .* RSA {re.escape(fingerprint)}$"
    wait(lambda: re.search(accepted, log.read_text(), re.MULTILINE) is not None)


def test_the_agent_gets_records_logins_and_set_up(bastion: Guest, operator: Operator) -> None:
    operator.ssh("true")
    taken = json.loads((bastion.root / "opt/aws/amazon-cloudwatch-agent/etc.json").read_text())
    collected = taken["logs"]["logs_collected"]["files"]["collect_list"]
    assert {entry["log_group_name"] for entry in collected} == {"/tally/bastion"}
    streams = [entry["log_stream_name"].rpartition("/")[2] for entry in collected]
    assert streams == ["sessions", "logins", "set-up"]
    for entry in collected:
        files = list(bastion.root.glob(entry["file_path"].lstrip("/")))
        assert any(file.stat().st_size for file in files), entry
        # By default the agent follows only the newest of several files.
        assert entry.get("publish_multi_logs", False) == ("*" in entry["file_path"])


# Who gets in


def test_no_password_is_asked_for(bastion: Guest, operator: Operator, tmp_path: Path) -> None:
    """Not even the right one."""
    bastion.run("sh", "-c", "echo ec2-user:correct | chpasswd")
    answer = tmp_path / "answer"
    answer.write_text(f"#!/bin/sh\ntouch '{tmp_path}/asked'\necho correct\n")
    answer.chmod(0o700)
    try:
        done = operator.ssh(
            "true",
            options=("-v", "-o", "BatchMode=no", "-o", "PubkeyAuthentication=no"),
            environment={"SSH_ASKPASS": str(answer), "SSH_ASKPASS_REQUIRE": "force"},
        )
    finally:
        bastion.run("usermod", "--lock", "ec2-user")
    assert done.returncode == 255
    offered = re.findall(r"Authentications that can continue: (.*)", done.stderr)
    assert set(offered) == {"publickey"}
    assert not (tmp_path / "asked").exists()


def test_another_key_is_refused(operator: Operator, tmp_path: Path) -> None:
    key = tmp_path / "other"
    make = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key]
    subprocess.run(make, check=True)
    done = Operator(operator.bastion, key, operator.folder).ssh("true")
    assert done.returncode == 255
    assert "Permission denied (publickey)" in done.stderr


@pytest.mark.parametrize("user", ["root", "somebody"])
def test_nobody_else_gets_in_with_the_operators_key(
    bastion: Guest, operator: Operator, user: str
) -> None:
    if user != "root":
        bastion.run("useradd", "--create-home", "--shell", "/bin/bash", user)
    home = bastion.output("sh", "-c", f"echo ~{user}")
    # Without what cloud-init writes before root's key, that it is to be refused.
    keys = f"{home}/.ssh/authorized_keys"
    group = bastion.output("id", "-gn", user)
    bastion.run("install", "-d", "-o", user, "-g", group, "-m", "700", f"{home}/.ssh")
    bastion.run("install", "-o", user, "-m", "600", "/home/ec2-user/.ssh/authorized_keys", keys)
    done = operator.ssh("echo in", user=user)
    assert done.returncode == 255
    assert done.stdout == ""
    assert "Permission denied (publickey)" in done.stderr


# What else ssh can be asked for


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


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
    port = free_port()
    with forwarding(operator, "-L", f"{port}:{clouds.DATABASE_HOST}:5432") as connection:
        refused(("127.0.0.1", port), ASK_FOR_TLS)
        connection.terminate()
        assert "administratively prohibited" in connection.communicate()[1]


def test_no_proxy_is_given(operator: Operator) -> None:
    port = free_port()
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
        pytest.skip("ssh asks for no tunnel where it can't make its own end: no /dev/net/tun")
    # An end that the operator may use, so that only sshd is in the way.
    bastion.run("chmod", "666", "/dev/net/tun")
    bastion.run("ip", "tuntap", "add", "dev", "tun7", "mode", "tun", "user", "ec2-user")
    done = operator.ssh(options=("-N", "-o", "ExitOnForwardFailure=yes", "-w", "any:7"))
    assert done.returncode == 255
    assert "Tunnel forwarding failed" in done.stderr


def test_no_agent_is_forwarded(operator: Operator, tmp_path: Path) -> None:
    if shutil.which("ssh-agent") is None:
        pytest.skip("ssh-agent is not installed: apt install openssh-client")
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
    said = "files are copied neither from nor to this machine" if "-O" in program else "closed"
    assert said in done.stderr
    assert list(tmp_path.iterdir()) == []


# The database


def test_psql_reads_the_ledger_with_verified_tls(
    bastion: Guest, operator: Operator, the_cloud: Cloud
) -> None:
    ask = """
        select current_user, ssl, current_setting('transaction_read_only')
        from pg_stat_ssl where pid = pg_backend_pid();
        select count(*) >= 0 from tally.entry;
    """
    with one_record(bastion) as record:
        done = operator.ssh("tally-psql --no-psqlrc --tuples-only --no-align", said=ask)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.split() == ["tally_operator|t|off", "t"]
    assert the_cloud.password("tally_operator") not in record[1]


def test_psql_on_a_terminal(bastion: Guest, operator: Operator) -> None:
    """As docs/deploy.md has it."""
    with one_record(bastion) as record:
        # A terminal of no size, as that of a test, would get a pager.
        done = operator.ssh(
            "tally-psql --pset=pager=off", options=("-tt",), said="select 6 * 7 as found;\n\\q\n"
        )
    assert done.returncode == 0, done.stdout
    assert "42" in done.stdout
    assert "select 6 * 7 as found;" in record[1]


def test_psql_can_write_nothing(operator: Operator) -> None:
    statements = (
        "insert into tally.entry default values",
        "delete from tally.entry",
        "update tally.total set sum = 0",
        "truncate tally.entry",
        "create table public.mine (it int)",
        "create table tally.mine (it int)",
        "create role other",
        "set role tally_adder",
    )
    done = operator.ssh("tally-psql", said="".join(f"{statement};\n" for statement in statements))
    assert done.stdout == ""
    assert done.stderr.count("ERROR:  permission denied") == len(statements), done.stderr


def test_psql_takes_no_server_with_another_authority(bastion: Guest, operator: Operator) -> None:
    """Amazon's own, which did not sign the test's server."""
    kept = bastion.root / "etc/tally/rds-us-east-1.pem"
    before = kept.read_text()
    kept.write_text((PROJECT / "src/tally/aws/rds-us-east-1.pem").read_text())
    try:
        done = operator.ssh("tally-psql --command 'select 1'")
    finally:
        kept.write_text(before)
    assert done.returncode == 2
    assert "certificate verify failed" in done.stderr


def test_psql_takes_no_server_with_another_name(
    bastion: Guest, operator: Operator, the_cloud: Cloud
) -> None:
    settings, hosts = bastion.root / "etc/tally/machine.env", bastion.root / "etc/hosts"
    before, known = settings.read_text(), hosts.read_text()
    settings.write_text(before.replace(clouds.DATABASE_HOST, "other.example"))
    hosts.write_text(f"{known}{the_cloud.network.cloud_address} other.example\n")
    try:
        done = operator.ssh("tally-psql --command 'select 1'")
    finally:
        settings.write_text(before)
        hosts.write_text(known)
    assert done.returncode == 2
    assert re.search('certificate for .* does not match host name "other.example"', done.stderr)


def test_psql_takes_a_changed_password(operator: Operator, the_cloud: Cloud) -> None:
    the_cloud.change_password("tally_operator")
    assert operator.ssh("tally-psql --command 'select 1'").returncode == 0


# Last, for it stops sshd.


def test_sshd_is_stopped_if_it_has_not_the_settings(bastion: Guest, operator: Operator) -> None:
    settings = bastion.root / "etc/ssh/sshd_config"
    before = settings.read_text()
    settings.write_text(before.replace("Include /etc/ssh/bastion.conf\n", ""))
    try:
        done = bastion.run("/usr/local/bin/set-up", check=False)
        assert done.returncode == 1
        assert "set-up: sshd doesn't have the setting " in done.stderr
        state = bastion.run("systemctl", "is-active", "sshd", check=False).stdout.strip()
        assert state == "inactive"
        enabled = bastion.run("systemctl", "is-enabled", "sshd", check=False).stdout.strip()
        assert enabled == "disabled"
        assert operator.ssh("true").returncode == 255
    finally:
        settings.write_text(before)
        bastion.run("systemctl", "enable", "--now", "sshd")
        bastion.run("/usr/local/bin/set-up")
    assert operator.ssh("true").returncode == 0
