"""The benchmark itself, on a small scale: real servers, real load."""

import http.client
import json
import os
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path

import pytest

from bench import __main__ as main
from bench import report
from bench.database import Cluster, NotDurable
from bench.filling import fill_ledger
from bench.goals import Measure
from bench.load.wrk import Refused
from bench.process import ROOT, NotStarted, running, serving
from bench.runner import QUICK
from tests.support.programs import need


def test_a_run_gives_results(tmp_path):
    need("wrk")
    out = tmp_path / "results.json"
    command = [sys.executable, "-m", "bench", "--quick", "--only", "adders", "start"]
    ran = subprocess.run(
        [*command, "--out", str(out)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr[-2000:]
    results = json.loads(out.read_text())
    lines = {line["name"]: line for line in results["results"]}
    assert lines.keys() == {"adders", "start"}
    for line in lines.values():
        assert 0 < line["low"] <= line["median"] <= line["high"]
        assert len(line["rounds"]) == 3
    assert results["durability"] == dict.fromkeys(
        ("fsync", "synchronous_commit", "full_page_writes"), "on"
    )
    assert results["quick"]
    assert not results["failed"]
    assert results["left_out"] == []
    assert results["machine"]["cores"] == os.cpu_count()
    for candidate in ("1", "2", "4"):
        assert all(
            figures["rate"] > 0 for figures in results["rounds"]["adders"]["figures"][candidate]
        )
    assert report.table(results) in ran.stdout


def test_a_filled_ledger_is_as_the_adder_would_have_made_it(postgres_server):
    cluster = Cluster(postgres_server, Path())
    cluster.create_ledger("bench_filled")
    try:
        fill_ledger(cluster, "bench_filled", 2000, keys=True)
        audit = subprocess.run(
            [sys.executable, "-m", "tally", "audit", "--json"],
            env={**os.environ, "TALLY_DATABASE_URL": cluster.url("bench_filled")},
            capture_output=True,
            text=True,
            check=False,
        )
        assert audit.returncode == 0, audit.stdout + audit.stderr
        assert cluster.value("bench_filled", "SELECT count FROM tally.total") == 2000
        assert cluster.value("bench_filled", "SELECT count(*) FROM tally.answer") == 2000
    finally:
        cluster.drop("bench_filled")


def test_the_ceiling_answers_like_the_adder_and_stores_nothing(ledger, tmp_path):
    with serving(
        "no-ledger",
        [sys.executable, "-m", "bench.peers.no_ledger", "{port}"],
        tmp_path,
        path="/adder_service/healthz",
        environment={"TALLY_DATABASE_URL": ledger.url("tally_adder")},
    ) as process:
        connection = http.client.HTTPConnection("127.0.0.1", process.port)
        for count in (1, 2):
            connection.request(
                "POST",
                "/adder_service/entries",
                b'{"value": 12.5}',
                {"Content-Type": "application/json"},
            )
            response = connection.getresponse()
            assert response.status == 201
            assert json.loads(response.read()) == {
                "id": count,
                "value": "12.5",
                "sum": ("12.5", "25")[count - 1],
                "count": count,
            }
        connection.close()


def test_a_server_that_is_not_durable_is_refused(postgres_server):
    cluster = Cluster(postgres_server, Path())
    assert set(cluster.durability().values()) == {"on"}
    cluster.execute("postgres", "ALTER ROLE postgres SET synchronous_commit = off")
    try:
        with pytest.raises(NotDurable, match="synchronous_commit"):
            cluster.durability()
    finally:
        cluster.execute("postgres", "ALTER ROLE postgres RESET synchronous_commit")


def test_a_server_that_ends_says_why(tmp_path):
    command = [sys.executable, "-c", "raise SystemExit('out of luck')"]
    with (
        pytest.raises(NotStarted, match="out of luck"),
        running("unlucky", command, tmp_path, lambda: False),
    ):
        pass


def test_the_table():
    line = {
        "what": "single adds",
        "unit": "x",
        "median": 31.25,
        "low": 28.0,
        "high": 33.0,
        "must": "at least 40 x",
        "aim": None,
        "verdict": "missed",
        "disturbed": 2,
    }
    assert report.table({"results": [line]}).splitlines()[2] == (
        "| single adds | 31.2 x (28 - 33) *2 | at least 40 x |  | **missed** |"
    )


def test_a_failure_is_told_and_keeps_the_other_figures(monkeypatch):
    def fail(runner):
        raise Refused("1 answer was an error")

    def measure_one(runner):
        rounds = runner.interleave("one", {"it": lambda: {"rate": 1.0}})
        runner.findings.add(Measure("one", "one"), rounds.spread("it"), rounds)

    monkeypatch.setattr(main, "GROUPS", {"fail": fail, "one": measure_one})
    results = main.measure(QUICK, ["fail", "one"])
    assert results["failed"]
    assert results["left_out"] == [{"what": "fail", "because": "1 answer was an error"}]
    assert [line["name"] for line in results["results"]] == ["one"]


def test_what_is_measured_again_takes_its_place():
    def results(date, **medians):
        return {
            "machine": "this", "versions": {}, "durability": {}, "quick": False,
            "date": date, "commit": date, "dirty": False, "series": {},
            "results": [{"name": name, "median": value} for name, value in medians.items()],
            "rounds": {name: [value] for name, value in medians.items()},
        }  # fmt: skip

    kept = results("monday", adds=1, keys=2)
    main.replace(kept, results("tuesday", adds=3, new=4), ["adds"])
    assert [(line["name"], line["median"]) for line in kept["results"]] == [
        ("adds", 3),
        ("new", 4),
        ("keys", 2),
    ]
    assert kept["rounds"] == {"adds": [3], "new": [4], "keys": [2]}
    assert kept["date"] == "monday"
    assert [again["date"] for again in kept["again"]] == ["tuesday"]
    with pytest.raises(ValueError, match="another machine"):
        main.replace(kept, {**results("friday"), "machine": "that"}, ["adds"])


def test_a_line_of_each_machine_is_kept():
    def results(cores, rate):
        line = {"name": "adds", "low": rate, "median": rate, "high": rate}
        machine = {"processor": "One", "cores": cores, "kernel": "6", "filesystem": "ext4"}
        return {"date": "monday", "machine": machine, "results": [line]}

    def rates(results):
        return [run["spreads"]["adds"]["median"] for run in results["before"]]

    first, second, third = results(2, 100), results(4, 200), results(2, 300)
    main.keep_machines(first, second)
    assert rates(second) == [100]
    main.keep_machines(second, third)  # the first one's machine again
    assert rates(third) == [200]
    assert report.machines(third).splitlines()[2:] == [
        "| monday: One, 2 cores, Linux 6, ext4 | 300 (300 - 300) |  |  |  |  |  |",
        "| monday: One, 4 cores, Linux 6, ext4 | 200 (200 - 200) |  |  |  |  |  |",
    ]


def test_what_an_add_costs_each_candidate():
    plain = {"rate": 1000.0, "requests": 5000.0}
    cost = {"server user": 20.0, "server kernel": 4.04}
    figures = {"Tally": [plain | cost], "Redis": [plain]}
    assert report.candidates({"rounds": {"adds": {"figures": figures}}}).splitlines()[2:] == [
        "| Tally | 1,000 | 24.0 (4.0) |  |",
        "| Redis | 1,000 |  |  |",
    ]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--only", "start", "--into", "{}/nothing.json"], "No such file"),
        (["--only", "start", "--into", "{}/no.json"], "Expecting value"),
        (["--only", "start", "--into", "{}/other.json"], "no results file: it lacks durability"),
        (["--into", "{}/nothing.json"], "--into goes with --only"),
        (["--only", "start", "--out", "{}"], "Is a directory"),
        (["--only", "start", "--out", "{}/no.json/results.json"], "no.json"),
    ],
    ids=["no file", "no JSON", "no results", "of all", "a folder", "below a file"],
)
def test_what_can_t_be_kept_is_said_before_anything_is_measured(
    options, said, tmp_path, monkeypatch, capsys
):
    (tmp_path / "no.json").write_text("no")
    (tmp_path / "other.json").write_text("{}")
    monkeypatch.setattr(main, "cluster", None)  # nothing may be started
    monkeypatch.setattr(sys, "argv", ["bench", *(each.format(tmp_path) for each in options)])
    assert main.main() == 1
    assert said in capsys.readouterr().err


def test_another_machine_s_results_take_nothing(monkeypatch):
    """Said when the machine is known, before the first measurement."""
    monkeypatch.setattr(main, "cluster", lambda: nullcontext((Machine(), Path())))
    monkeypatch.setattr(main, "describe", lambda running: {"machine": "this", "versions": {}})
    monkeypatch.setattr(main, "GROUPS", {})
    into = {"machine": "that", "versions": {}, "durability": {}, "quick": True}
    with pytest.raises(ValueError, match="another machine: that, not this"):
        main.measure(QUICK, ["adds"], into)


class Machine:
    """One whose PostgreSQL says nothing of durability."""

    def durability(self):
        return {}


def test_the_documents_are_those_of_the_results(tmp_path):
    """Whoever changes a template or a figure by hand is told so."""
    docs = ROOT / "docs"
    report.write(docs / "benchmarks.json", tmp_path)
    for name in ("benchmarks.md", "limits.md"):
        assert (tmp_path / name).read_text() == (docs / name).read_text()
    results = json.loads((docs / "benchmarks.json").read_text())
    assert not results["quick"]
    assert not results["failed"]
    assert results["left_out"] == []
