"""What is kept of each session on the bastion, and that none goes without."""

import json
import re
import subprocess
from pathlib import Path

import pytest

from tests.support.guests.guest import Guest, wait
from tests.support.guests.operator import SECONDS, SESSIONS, Operator, one_record, records


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
    assert "can't record, so the session ends" in done.stderr
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
