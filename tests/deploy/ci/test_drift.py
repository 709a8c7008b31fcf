"""The issue that says what has drifted. GitHub's part is played by a small server here."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from deploy.ci.drift import LONGEST_BODY, report
from tests.support.paths import ROOT
from tests.support.workflow_runner import Runner, machine

REPOSITORY = "example/tally"


class GitHub(ThreadingHTTPServer):
    """Issues of one repository, by the four calls of GitHub's REST API that are needed."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.issues: list[dict[str, Any]] = []
        self.comments: list[tuple[int, str]] = []


class _Handler(BaseHTTPRequestHandler):
    server: GitHub

    def do_GET(self) -> None:
        assert self.path == f"/repos/{REPOSITORY}/issues?state=open&labels=drift&per_page=100"
        found = [
            issue
            for issue in self.server.issues
            if issue["state"] == "open" and "drift" in issue["labels"]
        ]
        self._answer(200, found)

    def do_POST(self) -> None:
        given = self._given()
        match self.path.removeprefix(f"/repos/{REPOSITORY}/").split("/"):
            case ["issues"]:
                issue = {"number": len(self.server.issues) + 1, "state": "open", **given}
                self.server.issues.append(issue)
                self._answer(201, issue)
            case ["issues", number, "comments"]:
                self.server.comments.append((int(number), given["body"]))
                self._answer(201, {})

    def do_PATCH(self) -> None:
        number = int(self.path.removeprefix(f"/repos/{REPOSITORY}/issues/"))
        issue = self.server.issues[number - 1]
        issue.update(self._given())
        self._answer(200, issue)

    def _given(self) -> dict[str, Any]:
        assert self.headers["Authorization"] == "Bearer token-of-the-run"
        given: dict[str, Any] = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        return given

    def _answer(self, status: int, body: object) -> None:
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def github() -> Iterator[GitHub]:
    with GitHub() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def environment(github: GitHub) -> dict[str, str]:
    return {
        "GITHUB_API_URL": f"http://127.0.0.1:{github.server_port}",
        "GITHUB_REPOSITORY": REPOSITORY,
        "GITHUB_RUN_ID": "42",
        "GITHUB_SERVER_URL": "https://github.com",
        "GITHUB_TOKEN": "token-of-the-run",
    }


@pytest.fixture
def _here(environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)


@pytest.mark.usefixtures("_here")
class TestReport:
    def test_drift_opens_one_issue(self, github: GitHub) -> None:
        assert report("production", "| change | `aws_lb.main` |") == "drift: opened #1"
        (issue,) = github.issues
        assert issue["title"] == "Drift in production"
        assert issue["labels"] == ["drift"]
        assert "| change | `aws_lb.main` |" in issue["body"]
        assert "https://github.com/example/tally/actions/runs/42" in issue["body"]

    def test_further_drift_updates_it(self, github: GitHub) -> None:
        report("production", "first")
        assert report("production", "second") == "drift: updated #1"
        (issue,) = github.issues
        assert "second" in issue["body"]
        assert "first" not in issue["body"]

    def test_each_environment_has_its_own(self, github: GitHub) -> None:
        report("production", "first")
        assert report("other", "second") == "drift: opened #2"
        assert len(github.issues) == 2

    def test_it_is_closed_when_the_drift_is_gone(self, github: GitHub) -> None:
        report("production", "first")
        assert report("production", None) == "drift is gone: closed #1"
        assert github.issues[0]["state"] == "closed"
        assert github.comments == [
            (1, "The drift is gone: https://github.com/example/tally/actions/runs/42")
        ]

    def test_drift_after_that_opens_another(self, github: GitHub) -> None:
        report("production", "first")
        report("production", None)
        assert report("production", "again") == "drift: opened #2"

    def test_nothing_is_done_without_drift(self, github: GitHub) -> None:
        assert report("production", None) == "no drift"
        assert github.issues == []

    def test_a_long_summary_is_cut_to_what_github_takes(self, github: GitHub) -> None:
        report("production", "x" * 100_000)
        assert LONGEST_BODY < len(github.issues[0]["body"]) < 65_536


def test_the_workflows_own_job_reports(
    github: GitHub, environment: dict[str, str], tmp_path: Path
) -> None:
    checkout = tmp_path / "checkout"
    (checkout / "deploy").mkdir(parents=True)
    (checkout / "deploy/ci").symlink_to(ROOT / "deploy/ci")
    artefacts = tmp_path / "artefacts"
    (artefacts / "plan").mkdir(parents=True)
    (artefacts / "plan/summary.md").write_text("| change | `aws_lb.main` |")
    job = Runner(
        "terraform-plan-apply.yml",
        checkout,
        machine() | environment,
        {"github.token": "token-of-the-run"},
        artefacts,
        {("needs", "plan"): {"changes": "true"}},
    )
    assert job.run("drift").log == "drift: opened #1\n"
    assert "| change | `aws_lb.main` |" in github.issues[0]["body"]
