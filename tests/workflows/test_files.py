"""The workflow files: pinned, and careful with what they may do. `make lint` validates them."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.paths import ROOT, WORKFLOWS
from tests.support.tiers import TIERS
from tests.support.workflow_runner import load

BIN = Path(sys.executable).parent
FILES = sorted(path.name for path in WORKFLOWS.iterdir())
DEPENDABOT = ROOT / ".github/dependabot.yml"
# Read, not imported: they need AWS's packages.
STEPS = "".join(path.read_text() for path in sorted((ROOT / "deploy/ci").glob("*.py")))
COMMANDS = re.findall(r"^@(?:main|click)\.command\((?:.*\n)+?def (\w+)", STEPS, re.MULTILINE)
# GitHub's parser, and so the name of the key: YAML 1.1 reads `on` as true.
ON: Any = True


def steps(workflow: str) -> list[tuple[str, dict[str, Any]]]:
    return [
        (name, step)
        for name, job in load(workflow)["jobs"].items()
        for step in job.get("steps", [])
    ]


def run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_all_are_there() -> None:
    assert FILES == [
        "build-containers.yml",
        "checks.yml",
        "practise-restore.yml",
        "terraform-plan-apply.yml",
    ]


def test_zizmor_would_find_something(tmp_path: Path) -> None:
    spoilt = tmp_path / "spoilt.yml"
    spoilt.write_text(
        (WORKFLOWS / "terraform-plan-apply.yml")
        .read_text()
        .replace("run: .venv/bin/python -m deploy.ci plan", "run: echo ${{ inputs.release }}")
    )
    done = run(str(BIN / "zizmor"), "--offline", "--format=json", str(spoilt))
    assert "template-injection" in {finding["ident"] for finding in json.loads(done.stdout)}


@pytest.mark.parametrize("workflow", FILES)
def test_every_action_is_pinned_and_its_version_said(workflow: str) -> None:
    lines = [line for line in (WORKFLOWS / workflow).read_text().splitlines() if "uses:" in line]
    assert lines
    for line in lines:
        assert re.search(r"uses: (\$/\.github/|[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$)", line), (
            line
        )


def test_an_action_is_the_same_everywhere() -> None:
    pins: dict[str, set[str]] = {}
    for path in WORKFLOWS.iterdir():
        for action, pin in re.findall(r"uses: ([\w/-]+)@(.+)", path.read_text()):
            pins.setdefault(action, set()).add(pin)
    assert {action: len(found) for action, found in pins.items() if len(found) != 1} == {}


@pytest.mark.parametrize("workflow", FILES)
def test_permissions_are_given_by_the_job(workflow: str) -> None:
    loaded = load(workflow)
    assert loaded["permissions"] == {}
    for job in loaded["jobs"].values():
        assert job["permissions"]
        assert "write-all" not in str(job["permissions"])


@pytest.mark.parametrize("workflow", FILES)
def test_no_secret_is_given_to_a_pull_request(workflow: str) -> None:
    loaded = load(workflow)
    assert "pull_request_target" not in loaded[ON]
    assert "secrets." not in (WORKFLOWS / workflow).read_text()
    if "pull_request" in loaded[ON]:
        for job in loaded["jobs"].values():
            if job["permissions"] != {"contents": "read"}:
                assert "github.event_name == 'push'" in job["if"]


@pytest.mark.parametrize("workflow", FILES)
def test_steps_are_shell_that_shellcheck_likes(workflow: str, tmp_path: Path) -> None:
    scripts = [step["run"] for _, step in steps(workflow) if "run" in step]
    for number, script in enumerate(scripts):
        # Values reach a script through its environment, never as a part of it.
        assert "${{" not in script
        file = tmp_path / f"{number}.sh"
        file.write_text(f"#!/usr/bin/env bash\nset -e\n{script}\n")
    done = run(str(BIN / "shellcheck"), *map(str, sorted(tmp_path.iterdir())))
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("workflow", FILES)
def test_every_script_that_is_called_is_there(workflow: str) -> None:
    called = {
        name
        for _, step in steps(workflow)
        for name in re.findall(r"(?<![\w/.])(?:scripts|\.ci)/[\w-]+", step.get("run", ""))
    }
    for name in called:
        path = ROOT / name
        assert path.is_file()
        assert path.stat().st_mode & 0o100
    for _, step in steps(workflow):
        for command in re.findall(r"-m deploy\.ci (\w+)", step.get("run", "")):
            assert command in COMMANDS
        for target in re.findall(r"make \.venv/installed-(\w+)", step.get("run", "")):
            assert (ROOT / f"requirements/{target}.txt").is_file()


def test_approval_stands_before_the_apply_and_nowhere_else() -> None:
    jobs = load("terraform-plan-apply.yml")["jobs"]
    assert [name for name, job in jobs.items() if "environment" in job] == ["apply"]
    assert jobs["apply"]["environment"] == "${{ inputs.environment }}"
    roles = {
        name: [
            step["with"]["role-to-assume"]
            for step in job["steps"]
            if "role-to-assume" in step.get("with", {})
        ]
        for name, job in jobs.items()
    }
    assert {
        name: [role.rpartition("-ci-")[2] for role in found] for name, found in roles.items()
    } == {
        "plan": ["plan"],
        "apply": ["apply"],
        "check": ["plan"],
        "drift": [],
    }


def test_what_waits_for_approval_keeps_nobody_waiting() -> None:
    """A job that waits holds its concurrency group, for up to 30 days."""
    for workflow in FILES:
        for job in load(workflow)["jobs"].values():
            if "environment" in job:
                assert "github.run_id" in job["concurrency"]["group"]


def test_private_repositories_attest_only_where_they_ask_for_it() -> None:
    attesting = [step for _, step in steps("build-containers.yml") if "actions/attest" in str(step)]
    assert len(attesting) == 6
    assert {step["if"] for step in attesting} == {"env.ATTEST == 'true'"}


def test_the_check_follows_an_apply_and_its_page_is_kept_in_any_case() -> None:
    check = load("terraform-plan-apply.yml")["jobs"]["check"]
    assert "apply" in check["needs"]
    assert check["steps"][-1]["if"] == "always()"
    assert check["steps"][-1]["with"]["path"] == "build/check.html"


def test_what_builds_holds_no_role_and_what_holds_a_role_builds_nothing() -> None:
    jobs = load("build-containers.yml")["jobs"]
    assert jobs["build"]["permissions"] == {"contents": "read"}
    published = " ".join(step.get("run", "") for step in jobs["publish"]["steps"])
    assert "scripts/" not in published


def test_the_tests_run_on_the_images_own_base() -> None:
    image = load("checks.yml")["jobs"]["checks"]["container"]["image"]
    build_file = (ROOT / "deploy/containers/Containerfile").read_text()
    assert f"ARG BASE={image}\n" in build_file, "checks.yml and ARG BASE name the same image"


def test_the_jobs_together_are_all_checks() -> None:
    matrix = load("checks.yml")["jobs"]["checks"]["strategy"]["matrix"]["include"]
    assert [it["part"] for it in matrix] == ["lint", *TIERS]
    assert all(it["minutes"] <= 30 for it in matrix)
    script = (ROOT / ".ci/run").read_text()
    assert '*) make test STRICT=1 TIER="$part" ;;' in script


def test_dependabot_looks_where_something_is_pinned() -> None:
    updates = yaml.safe_load(DEPENDABOT.read_text())["updates"]
    assert {update["package-ecosystem"] for update in updates} == {
        "pip",
        "github-actions",
        "docker",
        "docker-compose",
        "terraform",
    }
    for update in updates:
        for folder in update.get("directories", [update.get("directory")]):
            assert (ROOT / folder.removeprefix("/")).is_dir()
