"""`tally add` and `tally export`."""

import asyncio
import json
import os
import subprocess
import sys
import time

import asyncpg
import pytest

from tests.support.command import refusal, result


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
        ("name", "content"),
        [
            ("values.csv", "1\n2.5\n"),
            ("VALUES.CSV", "value\n3.5\n"),
            ("values.ndjson", '1\n"2.5"\n'),
            ("values.jsonl", "3.5\n"),
        ],
    )
    def test_a_file_is_of_the_format_that_its_name_says(
        self, tally, tmp_path, name, content
    ) -> None:
        file = tmp_path / name
        file.write_text(content)
        assert result(tally("add", "--file", str(file), "--json"))["sum"] == "3.5"

    def test_names_file_and_line_and_stores_nothing(self, tally, tmp_path) -> None:
        file = tmp_path / "bad.csv"
        file.write_text("1\n2\nthree\n")
        message = refusal(tally("add", "--file", str(file)), 2)
        assert f"{file}, line 3: value must be" in message
        assert "nothing was added" in message
        assert result(tally("audit", "--json"))["checked"] == 0

    def test_a_file_of_another_name_needs_its_format(self, tally, tmp_path) -> None:
        file = tmp_path / "values.txt"
        file.write_text("1\n")
        assert "--format" in refusal(tally("add", "--file", str(file)), 2)
        assert "no such file" in refusal(tally("add", "--file", str(tmp_path / "none.csv")), 2)

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
        deadline = time.monotonic() + 60
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
