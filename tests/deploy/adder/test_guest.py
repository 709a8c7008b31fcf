"""The adder's machine, booted with the user data that Terraform renders: what it does and survives.

Against an emulator of AWS and a real PostgreSQL, each under the name it has on AWS, over TLS that
is verified. What differs from the machine on AWS stands in deploy/adder/README.md.
"""

import asyncio
import contextlib
import gzip
import json
import re
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import httpx
import pytest

from tests.support.guests import images, rendering
from tests.support.guests.cloud import BUCKET_NAMES, Cloud
from tests.support.guests.guest import Guest, guest, wait
from tests.support.guests.network import METADATA
from tests.support.guests.release import Release

UNIT = "tally-adder.service"
ENTRIES = "/adder_service/entries"


def ready(guest: Guest) -> bool:
    try:
        answer = httpx.get(f"http://{guest.address}:8080/adder_service/readyz", timeout=60)
    except httpx.TransportError:
        return False
    return answer.status_code == 200


def add(guest: Guest, value: str) -> dict[str, object]:
    answer = httpx.post(f"http://{guest.address}:8080{ENTRIES}", json={"value": value})
    assert answer.status_code == 201, answer.text
    return answer.json()


def stored(cloud: Cloud) -> list[int]:
    async def read() -> list[int]:
        connection = await asyncpg.connect(cloud.database.admin_url)
        try:
            return [row["id"] for row in await connection.fetch("SELECT id FROM tally.entry")]
        finally:
            await connection.close()

    return asyncio.run(read())


@contextlib.contextmanager
def no_release_bucket(guest: Guest) -> Iterator[None]:
    """Let nothing answer under the bucket's names."""
    hosts = guest.root / "etc/hosts"
    before = hosts.read_text()
    away = before
    for name in BUCKET_NAMES:
        away = away.replace(f" {name}", "")
    assert away != before
    hosts.write_text(f"{away}127.0.0.1 {' '.join(BUCKET_NAMES)}\n")
    try:
        yield
    finally:
        hosts.write_text(before)


def main_process(guest: Guest) -> str:
    return guest.output("systemctl", "show", "--property=MainPID", "--value", UNIT)


def running_version(guest: Guest) -> str:
    starts = [json.loads(line) for line in guest.log().splitlines() if '"event":"start"' in line]
    return starts[-1]["version"]


@pytest.fixture
def running(machine: Guest) -> Guest:
    """The machine with its adder ready, whatever the test before did to it."""
    wait(lambda: ready(machine))
    return machine


def test_cloud_init_did_all_of_it(running: Guest) -> None:
    status = running.output("cloud-init", "status", "--long")
    assert "status: done" in status
    assert running.output("systemctl", "is-enabled", UNIT) == "enabled"


def test_no_script_of_debians_starts_what_a_unit_starts(running: Guest) -> None:
    assert running.run("test", "-e", "/run/systemd/generator.late", check=False).returncode == 1


def test_it_adds_durably(running: Guest, the_cloud: Cloud) -> None:
    added = add(running, "12.5")
    assert added["value"] == "12.5"
    assert added["id"] in stored(the_cloud)


def test_it_runs_as_itself_and_can_write_temporary_files_only(running: Guest) -> None:
    process = main_process(running)
    assert running.output("ps", "-o", "user=", "-p", process) == "tally-adder"
    names = "^(NoNewPrivs|Seccomp|CapEff|CapBnd):"
    caught = running.output("grep", "-E", names, f"/proc/{process}/status")
    assert dict(line.split(":\t") for line in caught.splitlines()) == {
        "CapEff": "0" * 16,
        "CapBnd": "0" * 16,
        "NoNewPrivs": "1",
        "Seccomp": "2",
    }
    as_it = ("setpriv", "--reuid=tally-adder", "--regid=tally-adder", "--clear-groups")
    seen = ("nsenter", f"--target={process}", "--mount", "--", *as_it)
    # What it owns below /proc is itself.
    find = ("find", "/", "-path", "/proc", "-prune", "-o", "-writable", "-type", "d", "-print")
    writable = running.run(*seen, *find, check=False).stdout.split()
    assert set(writable) <= {"/tmp", "/var/tmp", "/run/lock", "/dev/shm", "/dev/mqueue"}
    assert "/tmp" in writable


def test_exactly_the_expected_ports_listen(running: Guest) -> None:
    listening = running.output("ss", "--no-header", "--listening", "--tcp", "--udp", "--numeric")
    assert {(line.split()[0], line.split()[4]) for line in listening.splitlines()} == {
        ("tcp", "0.0.0.0:8080")
    }


def test_the_password_is_nowhere_to_be_read(
    running: Guest, the_cloud: Cloud, user_data: str
) -> None:
    password = the_cloud.password("tally_adder")
    shown = {
        "user data": user_data,
        "journal": running.output("journalctl", "--no-pager", "--output=export"),
        "process list": running.output("ps", "axww", "-o", "args"),
        "unit": running.output("systemctl", "show", UNIT, "tally-adder-password.service"),
        "logs": running.log() + running.output("cat", "/var/log/cloud-init-output.log"),
        "cloud-init's log": running.output("cat", "/var/log/cloud-init.log"),
    }
    assert [place for place, text in shown.items() if password in text] == []
    # Where it is: in memory, in a file that only root can read.
    kept = "/run/tally-adder-password/password"
    assert running.output("cat", kept) == password
    assert running.output("stat", "--format=%a %U", kept) == "600 root"
    assert running.output("stat", "--file-system", "--format=%T", kept) == "tmpfs"
    on_disk = ("/etc", "/opt", "/var", "/home", "/root")
    assert running.run("grep", "-rlF", password, *on_disk, check=False).stdout == ""


def test_the_adder_cannot_get_at_the_machines_role(running: Guest) -> None:
    """Root on the machine reaches the metadata service; a process of the adder's unit does not."""
    ask = f"exec 3<>/dev/tcp/{METADATA}/80"
    running.run("bash", "-c", ask)
    group = running.output("systemctl", "show", "--property=ControlGroup", "--value", UNIT)
    join = f"echo $$ >/sys/fs/cgroup{group}/cgroup.procs"
    denied = running.run("timeout", "3", "bash", "-c", f"{join} && echo joined; {ask}", check=False)
    assert denied.stdout == "joined\n"
    assert denied.returncode != 0


def test_the_agent_gets_the_log(running: Guest) -> None:
    taken = json.loads((running.root / "opt/aws/amazon-cloudwatch-agent/etc.json").read_text())
    collected = taken["logs"]["logs_collected"]["files"]["collect_list"]
    assert {entry["log_group_name"] for entry in collected} == {"tally-adder"}
    for entry in collected:
        assert (running.root / entry["file_path"].lstrip("/")).stat().st_size > 0
    assert all(json.loads(line)["event"] for line in running.log().splitlines() if line[:1] == "{")


def test_a_full_log_is_rotated_and_written_on(running: Guest) -> None:
    log = running.root / "var/log/tally/adder.log"
    before = running.log()
    running.run("logrotate", "--force", "/etc/tally/logrotate.conf")
    assert (log.with_name("adder.log.1")).read_text().startswith(before)
    add(running, "1")
    wait(lambda: '"status":201' in log.read_text(), 5)
    assert "\0" not in log.read_text()


def test_a_killed_adder_comes_back(running: Guest, the_cloud: Cloud) -> None:
    before, added = main_process(running), add(running, "3")
    running.run("kill", "-KILL", before)
    wait(lambda: main_process(running) not in ("0", before) and ready(running))
    after = add(running, "4")
    numbers = sorted(stored(the_cloud))
    assert {added["id"], after["id"]} <= set(numbers)
    assert numbers == list(range(1, len(numbers) + 1))


def test_an_adder_that_keeps_failing_is_tried_less_and_less_often(running: Guest) -> None:
    last_start = "/run/tally-adder-password/last-start"
    # As if it had run well for a minute.
    running.run("rm", last_start)
    pauses = []
    for _ in range(3):
        before = main_process(running)
        running.run("kill", "-KILL", before)
        wait(lambda before=before: main_process(running) not in ("0", before) and ready(running))
        pauses.append(int(running.output("cat", last_start).split()[1]))
    assert pauses == [0, 1, 2]
    running.run("rm", last_start)


async def test_a_stop_answers_what_is_under_way(running: Guest, the_cloud: Cloud) -> None:
    connection = await asyncpg.connect(the_cloud.database.admin_url)
    stops = running.log().count('"event":"stopping"')
    async with httpx.AsyncClient(base_url=f"http://{running.address}:8080") as http:
        async with connection.transaction():
            # Holds the row that every add needs.
            await connection.execute("SELECT FROM tally.total FOR UPDATE")
            adding = asyncio.create_task(http.post(ENTRIES, json={"value": "8"}))
            waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted"
            while not await connection.fetchval(waiting):  # noqa: ASYNC110 - PostgreSQL tells nobody
                await asyncio.sleep(0.05)
            stop = ("systemctl", "stop", UNIT)
            stopping = asyncio.create_task(asyncio.to_thread(running.run, *stop))
            await asyncio.to_thread(wait, lambda: running.log().count('"event":"stopping"') > stops)
        assert (await adding).status_code == 201
        await stopping
    await connection.close()
    assert running.output("systemctl", "show", "--property=Result", "--value", UNIT) == "success"
    running.run("systemctl", "start", UNIT)


def test_a_restart_takes_a_changed_password(running: Guest, the_cloud: Cloud) -> None:
    the_cloud.change_password("tally_adder")
    running.run("systemctl", "restart", UNIT)
    wait(lambda: ready(running))
    add(running, "5")


def test_an_upgrade_and_the_way_back(
    running: Guest, old_release: Release, new_release: Release
) -> None:
    command = "/opt/tally/bin/tally-release"
    assert running_version(running) == "1.0.1"
    running.run(command, "install", new_release.key, new_release.sha256)
    wait(lambda: running_version(running) == "1.0.2" and ready(running))
    add(running, "6")
    assert set(running.output(command, "list").splitlines()) == {
        f"{old_release.sha256} previous",
        f"{new_release.sha256} current",
    }
    running.run(command, "back")
    wait(lambda: running_version(running) == "1.0.1" and ready(running))
    add(running, "7")


def test_the_way_back_needs_no_release_bucket(
    running: Guest, old_release: Release, new_release: Release
) -> None:
    command = "/opt/tally/bin/tally-release"
    running.run(command, "install", new_release.key, new_release.sha256)
    wait(lambda: running_version(running) == "1.0.2" and ready(running))
    with no_release_bucket(running):
        third = running.run(command, "install", old_release.key, "3" * 64, check=False)
        assert third.returncode == 1
        assert "can't fetch s3://" in third.stderr
        assert "nothing has changed" in third.stderr
        running.run(command, "back")
        wait(lambda: running_version(running) == "1.0.1" and ready(running))


def test_another_file_than_the_promised_one_is_not_installed(
    running: Guest, old_release: Release, new_release: Release
) -> None:
    done = running.run(
        "/opt/tally/bin/tally-release", "install", new_release.key, "0" * 64, check=False
    )
    assert done.returncode == 1
    said = f"has the sha256 {new_release.sha256}, not {'0' * 64}; nothing has changed"
    assert said in done.stderr
    assert not (running.root / "opt/tally/releases" / ("0" * 64)).exists()
    assert ready(running)


def test_a_machine_does_not_start_a_file_with_another_checksum(
    the_cloud: Cloud, old_release: Release, tmp_path: Path
) -> None:
    values = rendering.adder_of_the_guest(the_cloud.authority, old_release.key, "f" * 64)
    rendered = rendering.render(tmp_path, "adder", values)
    with guest(the_cloud, images.ADDER, gzip.compress(rendered.encode())) as other:
        said = other.output("cat", "/var/log/cloud-init-output.log")
        line = f"has the sha256 {old_release.sha256}, not {'f' * 64}; nothing has changed"
        assert re.search(rf"^tally-release: s3://\S+ {line}$", said, re.MULTILINE)
        assert "status: error" in other.run("cloud-init", "status", check=False).stdout
        assert other.run("systemctl", "is-enabled", UNIT, check=False).stdout.strip() == "disabled"
        assert not list((other.root / "opt/tally/releases").iterdir())
        assert other.run("systemctl", "is-active", UNIT, check=False).stdout.strip() == "inactive"
