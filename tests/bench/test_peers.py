"""Each peer is started, and adds right; one that can't be is left out."""

import http.client
import json
from contextlib import ExitStack, closing
from decimal import Decimal
from pathlib import Path

import pytest

from bench import process, runner
from bench.database import Cluster
from bench.measures import adds
from bench.process import NotInstalled
from bench.runner import HOT_ROW_TABLES, NAIVE_TABLES, QUICK, Findings, Runner

PEERS = {
    "naive": lambda run, use: use(run.flask("naive", use(run.tables("naive", *NAIVE_TABLES)))),
    "hot row": lambda run, use: use(
        run.flask("hot_row", use(run.tables("hot-row", *HOT_ROW_TABLES)))
    ),
    "FastAPI": lambda run, use: use(run.fast_api()),
    "Go": lambda run, use: use(run.go("insert")),
    "Go + total": lambda run, use: use(run.go("total")),
    "Go, group commit": lambda run, use: use(run.go("group")),
}


@pytest.fixture
def run(postgres_server, tmp_path):
    return Runner(Cluster(postgres_server, Path()), tmp_path, QUICK, Findings())


def start(stack, how):
    try:
        return how(stack.enter_context)
    except NotInstalled as it:
        pytest.skip(f"{it.name} not installed: apt install {it.package}")


def ask(port, method, path, body=None):
    connection = http.client.HTTPConnection("127.0.0.1", port)
    connection.request(method, path, body, {"Content-Type": "application/json"})
    response = connection.getresponse()
    assert response.status in {200, 201}
    said = json.loads(response.read())
    connection.close()
    return said


@pytest.mark.parametrize("peer", PEERS)
def test_a_peer_s_sum_is_right(peer, run):
    with ExitStack() as stack:
        port = start(stack, lambda use: PEERS[peer](run, use)).port
        added = [ask(port, "POST", "/entries", f'{{"value": {it}}}') for it in (0.1, 0.2)]
        assert [(it["id"], it["value"]) for it in added] == [(1, "0.1"), (2, "0.2")]
        assert ask(port, "GET", "/total") == {"sum": "0.3"}
        many_digits = "12345678901234567890.12345"
        ask(port, "POST", "/entries", f'{{"value": {many_digits}}}')
        exact = ask(port, "GET", "/total") == {"sum": "12345678901234567890.42345"}
        assert exact == peer.startswith("Go")


def test_a_sum_over_webdis(run):
    with ExitStack() as stack:
        server, _redis = start(stack, lambda use: use(run.webdis()))
        ask(server.port, "POST", "/", "INCRBYFLOAT/total/12.5")
        added = ask(server.port, "POST", "/", "INCRBYFLOAT/total/12.5")
        assert Decimal(added["INCRBYFLOAT"]) == 25


def test_values_that_share_a_commit_each_get_their_own_sum(run):
    with ExitStack() as stack:
        port = start(stack, lambda use: use(run.go("group"))).port
        asked = []
        for _ in range(50):
            connection = stack.enter_context(closing(http.client.HTTPConnection("127.0.0.1", port)))
            connection.request("POST", "/entries", '{"value": 0.1}')
            asked.append(connection)
        answers = [json.loads(it.getresponse().read()) for it in asked]
        assert {(it["id"], Decimal(it["sum"])) for it in answers} == {
            (number, number * Decimal("0.1")) for number in range(1, 51)
        }


def test_a_peer_that_is_missing_is_left_out_and_the_others_are_not(run, monkeypatch):
    monkeypatch.setattr(process.shutil, "which", lambda program, path: None)
    with ExitStack() as stack:
        candidates = adds.candidates(run, stack)
    missing = {adds.AGAINST[it].what for it in adds.AGAINST.keys() - candidates.keys()}
    assert missing == {it["what"] for it in run.findings.left_out}
    assert {"Tally", "naive", "FastAPI", "pgbench"} <= candidates.keys()
    assert {it["because"] for it in run.findings.left_out} == {
        "go is not installed: apt install golang-go",
        "redis-server is not installed: apt install redis-server",
    }


def test_go_without_its_libraries_is_missing(run, monkeypatch, tmp_path):
    monkeypatch.setattr(runner, "need", lambda program: program)
    monkeypatch.setattr(runner, "_GO_SOURCES", tmp_path)
    with pytest.raises(NotInstalled, match="apt install golang-github-jackc-pgx-v4-dev"):
        run.go("insert").__enter__()
