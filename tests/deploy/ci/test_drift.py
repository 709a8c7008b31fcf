"""The issue that says what has drifted."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.ci.drift import LONGEST_BODY, report
from tests.support.github import GitHub, github
from tests.support.paths import ROOT
from tests.support.workflow_runner import Runner, machine


@pytest.fixture(name="github")
def _github() -> Iterator[GitHub]:
    with github() as server:
        yield server


@pytest.fixture
def environment(github: GitHub) -> dict[str, str]:
    return github.environment


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
