"""The tally command, run as people and scripts run it."""

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import asyncpg
import httpx
import pytest

COMMANDS = ["up", "serve", "migrate", "add", "export", "reset", "undo", "audit", "purge", "check"]


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    stdin = environment.pop("stdin", "")
    return subprocess.run(
        [sys.executable, "-m", "tally", *arguments],
        env={**os.environ, **environment},
        input=stdin,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


@pytest.fixture
def tally(ledger) -> Callable[..., subprocess.CompletedProcess[str]]:
    """The command on an empty ledger of its own."""

    def tally(*arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        return run(*arguments, TALLY_DATABASE_URL=ledger.owner_url, stdin=stdin)

    return tally


def result(done: subprocess.CompletedProcess[str]) -> dict:
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def refusal(done: subprocess.CompletedProcess[str], status: int) -> str:
    assert done.returncode == status, done
    lines = [line for line in done.stderr.splitlines() if line.startswith("tally: ")]
    assert len(lines) == 1
    assert "Traceback" not in done.stderr
    return lines[0]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_with_an_example(command: str) -> None:
    shown = run(command, "--help").stdout
    assert "Example:\n" in shown
    assert f"tally {command}" in shown.partition("Example:")[2]


def test_help_lists_every_command() -> None:
    shown = run("--help").stdout
    assert all(f"\n  {command} " in shown for command in COMMANDS)


class TestAdd:
    def test_adds_values_exactly_and_together(self, tally) -> None:
        added = result(tally("add", "12.5", ".5", "--json", "--", "-3"))
        assert (added["first_id"], added["last_id"], added["sum"]) == (1, 3, "10")

    def test_names_the_value_and_the_rule(self, tally) -> None:
        assert "'1e3' must be a plain decimal number" in refusal(tally("add", "5", "1e3"), 2)
        assert result(tally("add", "1", "--json"))["count"] == 1

    def test_key_counts_once(self, tally) -> None:
        first = result(tally("add", "5", "--key", "a", "--json"))
        again = result(tally("add", "5", "--key", "a", "--json"))
        assert (first["count"], first["replayed"]) == (1, False)
        assert (again["count"], again["replayed"]) == (1, True)
        assert "another body" in refusal(tally("add", "6", "--key", "a"), 1)

    def test_wants_values_or_a_file(self, tally) -> None:
        assert tally("add").returncode == 2
        assert tally("add", "1", "--file", "x.csv").returncode == 2


class TestAddFile:
    @pytest.mark.parametrize(
        ("name", "content", "total"),
        [
            ("plain.csv", "1\n2.5\n-3\n", "0.5"),
            ("header.csv", "id,Value,note\n7,1,a\n8,2.5,b\n", "3.5"),
            ("mark.csv", "\ufeffvalue\r\n1\r\n\r\n2\r\n", "3"),
            ("quoted.csv", 'name,value\n"a, b","1.5"\n"c ""d""",2\n', "3.5"),
            ("unnamed.csv", "amount\n1\n2\n", "3"),
            ("numbers.ndjson", '1\n"2.5"\n\n{"value": 1e3}\n{"value": "4", "x": 1}\n', "1007.5"),
            ("exact.jsonl", "123456789012345678.123456789\n", "123456789012345678.123456789"),
        ],
    )
    def test_reads_what_people_have(self, tally, tmp_path, name, content, total) -> None:
        file = tmp_path / name
        file.write_text(content, newline="")
        assert result(tally("add", "--file", str(file), "--json"))["sum"] == total

    @pytest.mark.parametrize(
        ("name", "content", "said"),
        [
            ("bad.csv", "1\n2\nthree\n", "line 3: value must be a plain decimal number"),
            ("deep.csv", "value\n1\n0.1234567891\n", "line 3: value must have at most 9 digits"),
            ("short.csv", "id,value\n1,1\n2\n", "line 3: the value is missing"),
            ("bad.ndjson", "1\nNaN\n", "line 2: is not JSON"),
            ("null.ndjson", "1\nnull\n", "line 2: value must be a number or a string"),
            ("none.ndjson", '{"amount": 1}\n', "line 1: the field value is missing"),
            ("empty.csv", "", "holds no values"),
        ],
    )
    def test_names_line_and_rule_and_stores_nothing(
        self, tally, tmp_path, name, content, said
    ) -> None:
        file = tmp_path / name
        file.write_text(content)
        message = refusal(tally("add", "--file", str(file)), 2)
        assert said in message
        assert name in message
        assert result(tally("audit", "--json"))["checked"] == 0

    def test_a_file_counts_once_under_any_name(self, tally, tmp_path) -> None:
        for name, added in (("a.csv", 3), ("a.csv", 0), ("b.csv", 0)):
            file = tmp_path / name
            file.write_text("1\n2\n3\n")
            done = result(tally("add", "--file", str(file), "--json"))
            assert (done["added"], done["already_counted"]) == (added, 3 - added)
        again = result(tally("add", "--file", str(file), "--again", "march", "--json"))
        assert (again["added"], again["sum"]) == (3, "12")

    def test_standard_input(self, tally) -> None:
        done = tally("add", "--file", "-", "--format", "csv", "--json", stdin="1\n2\n")
        assert result(done)["sum"] == "3"
        assert "--format" in refusal(tally("add", "--file", "-", stdin="1\n"), 2)

    def test_killed_midway_and_run_again_counts_once(self, ledger, tally, tmp_path) -> None:
        file = tmp_path / "many.csv"
        values = range(-100_000, 200_000)
        file.write_text("\n".join(map(str, values)))
        environment = {**os.environ, "TALLY_DATABASE_URL": ledger.owner_url}
        importing = subprocess.Popen(
            [sys.executable, "-m", "tally", "add", "--file", str(file)], env=environment
        )
        wait_for_count(ledger.owner_url, 1)
        importing.kill()
        importing.wait()
        done = result(tally("add", "--file", str(file), "--json"))
        assert done["already_counted"] > 0, "it was killed too late to show anything"
        assert done["added"] > 0, "it was killed too late to show anything"
        assert done["added"] + done["already_counted"] == len(values)
        assert (done["sum"], done["count"]) == (str(sum(values)), len(values))
        assert result(tally("audit", "--json"))["clean"]


def wait_for_count(url: str, count: int) -> None:
    async def wait() -> None:
        connection = await asyncpg.connect(url)
        deadline = time.monotonic() + 30
        while await connection.fetchval("SELECT count FROM tally.total") < count:
            assert time.monotonic() < deadline
            await asyncio.sleep(0.005)
        await connection.close()

    asyncio.run(wait())


def test_export_can_be_added_again(tally, tmp_path) -> None:
    result(tally("add", "1", "2.5", "--json", "--", "-7"))
    file = tmp_path / "export.csv"
    assert tally("export", "--output", str(file)).returncode == 0
    assert file.read_text().splitlines()[0] == "id,value,sum_after,added_at"
    result(tally("reset", "--yes", "--json"))
    assert result(tally("add", "--file", str(file), "--json"))["sum"] == "-3.5"
    rows = [json.loads(line) for line in tally("export", "--format", "ndjson").stdout.splitlines()]
    assert [(row["value"], row["sum_after"]) for row in rows] == [
        ("1", "1"),
        ("2.5", "3.5"),
        ("-7", "-3.5"),
    ]


def test_reset_asks_and_undo_gives_back(tally) -> None:
    result(tally("add", "5", "6", "--json"))
    assert "add --yes" in refusal(tally("reset"), 2)
    made = result(tally("reset", "--yes", "--json"))
    assert (made["id"], made["sum"], made["count"]) == (1, "11", 2)
    assert result(tally("undo", "--json"))["sum"] == "11"
    assert "there is no reset to undo" in refusal(tally("undo"), 1)
    assert "not the newest" in refusal(tally("undo", "1"), 1)


def test_audit_finds_drift(ledger, tally) -> None:
    result(tally("add", "5", "6", "7", "--json"))
    assert result(tally("audit", "--json")) == {"clean": True, "checked": 3, "difference": None}

    async def tamper() -> None:
        connection = await asyncpg.connect(ledger.owner_url)
        await connection.execute("UPDATE tally.entry SET value = 60 WHERE id = 2")
        await connection.close()

    asyncio.run(tamper())
    found = tally("audit", "--json")
    assert found.returncode == 1
    report = json.loads(found.stdout)
    assert not report["clean"]
    assert "2" in report["difference"]


def test_purge_deletes_what_was_cleared(tally) -> None:
    result(tally("add", "5", "6", "--json"))
    result(tally("reset", "--yes", "--json"))
    assert result(tally("purge", "--older-than", "1d", "--yes", "--json")) == {"deleted": 0}
    assert result(tally("purge", "--older-than", "0s", "--yes", "--json")) == {"deleted": 2}
    assert result(tally("audit", "--json"))["clean"]
    assert refusal(tally("undo", "1"), 1)
    assert tally("purge", "--older-than", "soon", "--yes").returncode == 2
    assert tally("purge", "--yes").returncode == 2


def test_migrate_may_be_repeated(ledger) -> None:
    done = result(run("migrate", "--json", TALLY_DATABASE_URL=ledger.owner_url))
    assert done == {"revision": "0001", "migrated": False}


class TestFailures:
    @pytest.mark.parametrize("command", [["up", "--port", "0"], ["audit"], ["migrate"]])
    @pytest.mark.parametrize(
        ("url", "status", "said"),
        [
            ("mysql://root:secret@localhost/x", 2, "TALLY_DATABASE_URL must be an address"),
            ("postgresql://me:secret@127.0.0.1:1/tally", 3, "start the server or correct"),
            ("postgresql://me:secret@127.0.0.1:notaport/tally", 3, "correct the address"),
        ],
    )
    def test_broken_address_is_one_line_without_the_password(
        self, command, url, status, said
    ) -> None:
        message = refusal(run(*command, TALLY_DATABASE_URL=url), status)
        assert said in message
        assert "secret" not in message

    def test_missing_database_and_missing_schema(self, ledger, postgres_server) -> None:
        elsewhere = ledger.owner_url.replace("/tally_test", "/nowhere_test")
        assert "there is no such database" in refusal(run("audit", TALLY_DATABASE_URL=elsewhere), 3)
        empty = postgres_server.admin_url.replace("/tally?", "/postgres?")
        assert "tally migrate" in refusal(run("audit", TALLY_DATABASE_URL=empty), 1)

    def test_taken_port(self, server) -> None:
        port = server.url.rpartition(":")[2]
        done = run("serve", "all", "--port", port, TALLY_DATABASE_URL="postgresql:///x")
        assert "choose another port" in refusal(done, 1)

    def test_data_folder_in_use(self, server) -> None:
        done = run("up", "--port", "0", TALLY_DATA_DIR=str(server.folder / "data"))
        assert "in use" in refusal(done, 3)

    def test_serve_needs_an_address(self) -> None:
        assert "TALLY_DATABASE_URL must be set" in refusal(run("serve", "adder"), 2)

    def test_bad_setting(self) -> None:
        assert "TALLY_PORT" in refusal(run("up", TALLY_PORT="http"), 2)


class TestEmbedded:
    """Without TALLY_DATABASE_URL the command brings its own PostgreSQL."""

    def test_works_beside_a_running_tally(self, server) -> None:
        folder = str(server.folder / "data")
        added = result(run("add", "5", "--json", TALLY_DATA_DIR=folder))
        assert added["last_id"] >= 1
        assert server.process.poll() is None

    def test_works_alone_and_keeps_the_data(self) -> None:
        folder = Path(tempfile.mkdtemp(prefix="tally-alone-"))
        folder.chmod(0o755)
        data = str(folder / "data of mine")
        assert result(run("add", "1", "2", "--json", TALLY_DATA_DIR=data))["sum"] == "3"
        assert result(run("add", "4", "--json", TALLY_DATA_DIR=data))["sum"] == "7"
        shutil.rmtree(folder)

    def test_up_stops_cleanly_on_ctrl_c_and_keeps_the_data(self, tally_up) -> None:
        first = tally_up()
        entries = f"{first.url}/adder_service/entries"
        assert httpx.post(entries, json={"value": "41.5"}).status_code == 201
        assert first.stop(signal.SIGINT) == 0
        second = tally_up(first.folder)
        assert httpx.get(f"{second.url}/display_service/total").json()["sum"] == "41.5"
        assert second.stop(signal.SIGTERM) == 0
