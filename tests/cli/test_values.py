"""`tally add` and `tally export`."""

import asyncio
import gzip
import json
import os
import pty
import re
import signal
import subprocess
import sys
from pathlib import Path

import asyncpg
import pytest

from tests.support.command import refusal, result, run
from tests.support.postgres import PATIENCE

MOMENT = r"\d{4}-\d\d-\d\d at \d\d:\d\d:\d\d UTC"


@pytest.fixture
async def owner(ledger):
    connection = await asyncpg.connect(ledger.owner_url)
    yield connection
    await connection.close()


@pytest.fixture
async def onlooker(ledger):
    """Another session of the owner's."""
    connection = await asyncpg.connect(ledger.owner_url)
    yield connection
    await connection.close()


class TestAdd:
    def test_adds_values_exactly_and_together(self, tally) -> None:
        added = result(tally("add", "12.5", ".5", "--json", "--", "-3"))
        assert (added["first_id"], added["last_id"], added["sum"]) == (1, 3, "10")

    def test_a_value_may_begin_with_its_sign(self, tally) -> None:
        assert tally("add", "-3").stdout == "Added 1 value (-3). Total: -3\n"
        assert tally("add", "-.5", "--key", "a", "4").stdout == (
            "Added 2 values (together 3.5). Total: 0.5\n"
        )
        assert "No such option '--fiel'" in refusal(tally("add", "--fiel", "a.csv"), 2)
        assert "No such option '-k'" in refusal(tally("add", "-k", "a", "5"), 2)

    def test_names_the_value_and_the_rule(self, tally) -> None:
        assert "'1e3' must be a plain decimal number" in refusal(tally("add", "5", "1e3"), 2)
        assert result(tally("add", "1", "--json"))["count"] == 1

    def test_key_counts_once(self, tally) -> None:
        first = result(tally("add", "5", "--key", "a", "--json"))
        assert (first["count"], first["replayed"], first["counted_at"]) == (1, False, None)
        would = result(tally("add", "5", "--key", "a", "--dry-run", "--json"))
        assert (would["would_add"], would["already_counted"]) == (0, 1)
        again = result(tally("add", "5", "--key", "a", "--json"))
        assert (again["count"], again["replayed"]) == (1, True)
        assert again["counted_at"] == would["counted_at"] is not None
        result(tally("add", "2", "--json"))
        said = tally("add", "5", "--key", "a").stdout
        assert re.fullmatch(f"counted on {MOMENT}; nothing added; the total is now 7\n", said)
        assert "another body" in refusal(tally("add", "6", "--key", "a"), 1)
        assert "something else" in refusal(tally("add", "6", "--key", "a", "--dry-run"), 1)

    @pytest.mark.parametrize("command", ["add", "reset"])
    @pytest.mark.parametrize("key", ["", " ", "a b", "ä", "a\n", "k" * 256, "\udcff"])
    def test_a_key_is_what_the_services_take(self, tally, command, key) -> None:
        done = tally(command, *(["5"] if command == "add" else ["--yes"]), "--key", key)
        assert done.returncode == 2
        assert "1 to 255 visible ASCII characters" in done.stderr

    def test_a_dry_run_stores_nothing(self, tally) -> None:
        would = result(tally("add", "5", "1.5", "--dry-run", "--json"))
        assert (would["would_add"], would["sum"], would["already_counted"]) == (2, "6.5", 0)
        assert "would add 1, together 5; nothing was added" in tally("add", "5", "--dry-run").stdout
        assert result(tally("audit", "--json"))["checked"] == 0

    @pytest.mark.parametrize(
        "arguments",
        [
            (),
            ("1", "--file", "x.csv"),
            ("1", "--column", "a"),
            ("1", "--no-header"),
            ("1", "--again", ""),
            ("--file", "x.csv", "--key", "a"),
            ("--file", "x.ndjson", "--decimal", ","),
            ("--file", "x.ndjson", "--no-header"),
            ("--file", "x.csv", "--delimiter", "ab"),
            ("--file", "x.csv", "--delimiter", "1"),
            ("--file", "x.csv", "--decimal", ";"),
            ("--file", "x.csv", "--again", "\udcff"),
        ],
    )
    def test_options_that_contradict_each_other_are_refused(self, tally, arguments) -> None:
        done = tally("add", *arguments)
        assert done.returncode == 2
        assert "Traceback" not in done.stderr


class TestAddFile:
    @pytest.mark.parametrize(
        ("name", "content"),
        [
            ("values.csv", b"1\n2.5\n"),
            ("VALUES.CSV", b"value\n3.5\n"),
            ("values.tsv", b"value\tnote\n3.5\ta\n"),
            ("values.ndjson", b'1\n"2.5"\n'),
            ("values.jsonl", b"3.5\n"),
            ("values.csv.gz", gzip.compress(b"1\n2.5\n", mtime=0)),
            ("values.csv", gzip.compress(b"1\n2.5\n", mtime=0)),
        ],
    )
    def test_a_file_is_of_the_format_that_its_name_says(
        self, tally, tmp_path, name, content
    ) -> None:
        file = tmp_path / name
        file.write_bytes(content)
        assert result(tally("add", "--file", str(file), "--json"))["sum"] == "3.5"

    def test_a_terminal_shows_how_far_it_is(self, tally, tmp_path) -> None:
        file = tmp_path / "a.csv"
        file.write_text("1\n" * 20_000)
        command = [sys.executable, "-m", "tally", "add", "--dry-run", "--file", str(file)]
        terminal, side = pty.openpty()
        # What it says fits into the terminal.
        done = subprocess.run(
            command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=side, check=True
        )
        os.close(side)
        said = os.read(terminal, 65536)
        os.close(terminal)
        assert re.search(rb"Checking  \[#+\]  100%", said)
        assert done.stdout.startswith(b"would add 20000")
        assert "Checking" not in tally("add", "--dry-run", "--file", str(file)).stderr

    def test_names_file_and_line_and_stores_nothing(self, tally, tmp_path) -> None:
        file = tmp_path / "bad.csv"
        file.write_text("1\n2\nthree\n")
        for arguments in ((), ("--dry-run",)):
            message = refusal(tally("add", "--file", str(file), *arguments), 2)
            assert f"{file}, line 3: column 1: 'three' must be" in message
            assert "nothing was added" in message
        assert result(tally("audit", "--json"))["checked"] == 0

    def test_a_file_of_another_name_needs_its_format(self, tally, tmp_path) -> None:
        file = tmp_path / "values.txt"
        file.write_text("1\n")
        assert "--format" in refusal(tally("add", "--file", str(file)), 2)
        assert "no such file" in refusal(tally("add", "--file", str(tmp_path / "none.csv")), 2)

    def test_options_say_how_to_read_it(self, tally, tmp_path) -> None:
        file = tmp_path / "values.csv"
        file.write_text("Datum|Betrag\n1.2.2026|12,50\n")
        options = ("--delimiter", "|", "--decimal", ",", "--column", "Betrag", "--header")
        would = result(tally("add", "--file", str(file), *options, "--dry-run", "--json"))
        assert would == {
            "would_add": 1,
            "sum": "12.5",
            "already_counted": 0,
            "counted_at": None,
        }
        assert result(tally("add", "--file", str(file), *options, "--json"))["sum"] == "12.5"
        other = refusal(tally("add", "--file", str(file), "--column", "1", "--header"), 2)
        assert "'1.2.2026' must be" in other

    def test_a_file_counts_once_under_any_name(self, tally, tmp_path) -> None:
        for name, added in (("a.csv", 3), ("a.csv", 0), ("b.csv", 0)):
            file = tmp_path / name
            file.write_text("1\n2\n3\n")
            done = result(tally("add", "--file", str(file), "--json"))
            assert (done["added"], done["already_counted"]) == (added, 3 - added)
            assert (done["counted_at"] is None) == bool(added)
        would = result(tally("add", "--file", str(file), "--dry-run", "--json"))
        assert (would["would_add"], would["sum"], would["already_counted"]) == (0, "0", 3)
        again = result(tally("add", "--file", str(file), "--again", "march", "--json"))
        assert (again["added"], again["sum"]) == (3, "12")
        said = tally("add", "--file", str(file)).stdout
        assert re.fullmatch(f"counted on {MOMENT}; nothing added; the total is now 12\n", said)

    def test_it_is_counted_once_also_as_the_adder(self, ledger, tmp_path) -> None:
        """The adder's role may not read when."""
        file = tmp_path / "a.csv"
        file.write_text("id,value\na,1\n")
        url = ledger.url("tally_adder")
        for options in ((), ("--id-column", "id", "--again", "rows")):
            add = ("add", "--file", str(file), *options)
            assert "Added 1 value" in run(*add, TALLY_DATABASE_URL=url).stdout
            again = run(*add, TALLY_DATABASE_URL=url).stdout
            assert again.startswith("counted before; nothing added; the total is now")

    def test_a_file_that_is_read_otherwise_is_refused(self, tally, tmp_path) -> None:
        file = tmp_path / "a.csv"
        file.write_text("id,net,gross\n1,5,6\n")
        add = ("add", "--file", str(file))
        assert tally(*add, "--column", "net").returncode == 0
        for options in (("--column", "gross"), ("--column", "net", "--id-column", "id")):
            said = refusal(tally(*add, *options), 1)
            assert "counted before" in said
            assert "nothing was added; --again LABEL counts it once more" in said

    def test_rows_with_ids_count_once_in_any_file(self, tally, tmp_path) -> None:
        file = tmp_path / "a.csv"
        rows = ("add", "--file", str(file), "--id-column", "id")
        file.write_text("id,value\na,1\nb,2\n")
        assert result(tally(*rows, "--json"))["added"] == 2
        file.write_text("id,value\na,1\nb,2\nc,3.5\n")
        would = result(tally(*rows, "--dry-run", "--json"))
        assert (would["would_add"], would["sum"], would["already_counted"]) == (1, "3.5", 2)
        done = result(tally(*rows, "--json"))
        assert (done["added"], done["already_counted"], done["sum"]) == (1, 2, "6.5")
        file.write_text("id,value\nd,4\nb,3\n")
        said = refusal(tally(*rows), 1)
        assert "line 3: the id 'b' was counted with 2 (entry 2), and has 3 here" in said
        assert result(tally("audit", "--json"))["checked"] == 3

    def test_standard_input_and_pipes(self, tally, tmp_path) -> None:
        done = tally("add", "--file", "-", "--format", "csv", "--json", stdin="1\n2\n")
        assert result(done)["sum"] == "3"
        device = ("add", "--file", "/dev/stdin", "--format", "csv", "--json", "--again", "x")
        assert result(tally(*device, stdin="1\n2\n"))["sum"] == "6"
        assert "--format" in refusal(tally("add", "--file", "-", stdin="1\n"), 2)
        refused = refusal(tally("add", "--file", "-", "--format", "csv", stdin="1\nx\n"), 2)
        assert "standard input, line 2: " in refused

    async def test_what_was_checked_is_added_whatever_becomes_of_the_file(
        self, ledger, owner, onlooker, tmp_path
    ) -> None:
        """Emptied, grown and replaced while the import waits for the total."""
        file = tmp_path / "a.csv"
        for number, change in enumerate((empty, grow, replace), 1):
            file.write_text(f"{number}\n" * 20_000)
            async with owner.transaction():
                await owner.execute("LOCK TABLE tally.total IN EXCLUSIVE MODE")
                importing = start(ledger, "add", "--file", str(file), "--json")
                await until(onlooker, WAITS)
                change(file)
            done = json.loads((await asyncio.to_thread(importing.communicate))[0])
            assert (done["added"], done["already_counted"]) == (20_000, 0)
        assert done["sum"] == str((1 + 2 + 3) * 20_000)

    @pytest.mark.parametrize(
        "database",
        [
            {"TALLY_DATABASE_URL": "postgresql://postgres@127.0.0.1:1/tally"},
            {"TALLY_DATA_DIR": "none"},
        ],
    )
    def test_a_dry_run_needs_no_ledger_and_makes_none(
        self, tmp_path, monkeypatch, database
    ) -> None:
        monkeypatch.chdir(tmp_path)
        Path("a.csv").write_text("1\n2\n")
        done = run("add", "--file", "a.csv", "--dry-run", "--json", **database)
        assert result(done) == {
            "would_add": 2,
            "sum": "3",
            "already_counted": None,
            "counted_at": None,
        }
        assert "whether this was counted before is not known" in done.stderr
        assert os.listdir() == ["a.csv"]

    async def test_what_stops_it_midway_says_what_is_counted(self, owner, tally, tmp_path) -> None:
        file = tmp_path / "a.csv"
        file.write_text("1\n" * 10_000 + "999999999999999999\n" * 10_000)
        await owner.execute("UPDATE tally.total SET sum = 1e29 - 1e20")
        said = refusal(tally("add", "--file", str(file)), 1)
        assert "10000 of 20000 values are counted" in said
        assert await owner.fetchval("SELECT count FROM tally.total") == 10_000

    @pytest.mark.parametrize(
        ("arguments", "said"),
        [
            (["5"], "may have been added: look at the total before you run this again"),
            (["5", "--key", "a"], "may have been added: run this again, and it counts once"),
            (["--file", "a.csv"], "a.csv: .*; 0 of 1 values are counted for certain; run this"),
        ],
    )
    async def test_an_outcome_that_is_not_known_is_said_so(
        self, ledger, owner, tmp_path, arguments, said
    ) -> None:
        (tmp_path / "a.csv").write_text("5\n")
        impatient = "from tally.cli import ledger, main; ledger._PATIENCE_SECONDS = 1.0; main()"
        async with owner.transaction():
            await owner.execute("LOCK TABLE tally.total IN EXCLUSIVE MODE")
            done = await asyncio.to_thread(
                subprocess.run,
                [sys.executable, "-c", impatient, "add", *arguments],
                cwd=tmp_path,
                env={**os.environ, "TALLY_DATABASE_URL": ledger.owner_url},
                capture_output=True,
                text=True,
            )
        assert re.search(said, refusal(done, 3))

    @pytest.mark.parametrize(
        ("number", "ids"),
        [(signal.SIGKILL, False), (signal.SIGKILL, True), (signal.SIGINT, False)],
        ids=["killed", "killed-ids", "interrupted"],
    )
    async def test_ended_midway_and_run_again_counts_once(
        self, ledger, owner, tally, tmp_path, ids, number
    ) -> None:
        file = tmp_path / "many.csv"
        values = range(-20_000, 60_000) if ids else range(-100_000, 200_000)
        file.write_text("".join(f"{it},{it}\n" if ids else f"{it}\n" for it in values))
        add = ("add", "--file", str(file), "--json")
        add += ("--column", "1", "--id-column", "2", "--no-header") if ids else ()
        importing = start(ledger, *add)
        await until(owner, "SELECT count > 0 FROM tally.total")
        importing.send_signal(number)
        said = importing.communicate()[1]
        done = result(tally(*add))
        if number == signal.SIGINT:
            told = re.search(
                r"^tally: .*: broken off; (\d+) of (\d+) values are counted", said, re.MULTILINE
            )
            assert told, said
            assert 0 < int(told[1]) <= done["already_counted"]
            assert int(told[2]) == len(values)
        assert done["already_counted"] > 0, "it was killed too late to show anything"
        assert done["added"] > 0, "it was killed too late to show anything"
        assert done["added"] + done["already_counted"] == len(values)
        assert (done["sum"], done["count"]) == (str(sum(values)), len(values))
        assert result(tally("audit", "--json"))["clean"]


# Somebody waits for a lock.
WAITS = "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE pg_blocking_pids(pid) <> '{}')"


async def until(connection: asyncpg.Connection, query: str) -> None:
    async with asyncio.timeout(PATIENCE):
        while not await connection.fetchval(query):  # noqa: ASYNC110 - it can only be asked
            await asyncio.sleep(0.005)


def start(ledger, *arguments: str) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-m", "tally", *arguments],
        env={**os.environ, "TALLY_DATABASE_URL": ledger.owner_url},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def empty(file: Path) -> None:
    file.write_text("")


def grow(file: Path) -> None:
    with file.open("a") as more:
        more.write("1000\n")


def replace(file: Path) -> None:
    other = file.with_name("other")
    other.write_text("1000\n")
    other.replace(file)


@pytest.mark.parametrize("form", ["csv", "ndjson"])
@pytest.mark.parametrize("values", [("1.234",), ("1", "2.5", "-7"), ("0.000000001", "-0")])
def test_an_export_can_always_be_added_again(tally, tmp_path, form, values) -> None:
    added = result(tally("add", "--json", "--", *values))
    file = tmp_path / f"export.{form}"
    assert tally("export", "--format", form, "--output", str(file)).returncode == 0
    result(tally("reset", "--yes", "--json"))
    assert result(tally("add", "--file", str(file), "--json"))["sum"] == added["sum"]


def test_an_export_says_what_each_entry_was(tally) -> None:
    result(tally("add", "1", "2.5", "--json", "--", "-7"))
    assert tally("export").stdout.splitlines()[0] == "id,value,sum_after,added_at"
    rows = [json.loads(line) for line in tally("export", "--format", "ndjson").stdout.splitlines()]
    assert [(row["value"], row["sum_after"]) for row in rows] == [
        ("1", "1"),
        ("2.5", "3.5"),
        ("-7", "-3.5"),
    ]
