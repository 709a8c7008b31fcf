"""The Terraform files as they stand: form, validity, what variables refuse, checkov, checksums."""

import json
import re
import shutil
import subprocess
import tomllib
from dataclasses import dataclass
from datetime import UTC, datetime
from fnmatch import fnmatch
from pathlib import Path

import pytest

from tests.support.deployment import terraform_environment
from tests.support.paths import BOOTSTRAP, INFRA, ROOT

CHECKOV = ROOT / ".venv/checkov/bin/checkov"
MODULES = [INFRA, BOOTSTRAP]


def run(
    folder: Path, module: Path, *arguments: str, **environment: str
) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        ["terraform", f"-chdir={module}", *arguments],
        env=terraform_environment(folder)
        | {"TF_DATA_DIR": str(folder / f"data-{module.name}")}
        | environment,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def folder(terraform: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where both modules are initialised without a backend."""
    folder = tmp_path_factory.mktemp("static")
    for module in MODULES:
        done = run(folder, module, "init", "-backend=false", "-input=false", "-lockfile=readonly")
        assert done.returncode == 0, done.stderr
    return folder


def test_files_are_formatted(folder: Path) -> None:
    done = run(folder, INFRA, "fmt", "-check", "-recursive")
    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.name)
def test_files_are_valid(folder: Path, module: Path) -> None:
    said = json.loads(run(folder, module, "validate", "-json").stdout)
    assert said["diagnostics"] == []


@dataclass(frozen=True)
class Variables:
    """A module's variables and their tests, alone: what is refused needs neither provider nor AWS,
    which would take Terraform 400 times as long."""

    folder: Path

    @classmethod
    def of(cls, folder: Path, module: Path) -> "Variables":
        alone = folder / f"{module.name}-variables"
        (alone / "tests").mkdir(parents=True)
        for file in ("variables.tf", "tests/variables.tftest.hcl"):
            shutil.copy(module / file, alone / file)
        assert run(folder, alone, "init", "-input=false").returncode == 0
        return cls(alone)

    @property
    def tests(self) -> str:
        return (self.folder / "tests/variables.tftest.hcl").read_text()

    def test(self, *options: str) -> "subprocess.CompletedProcess[str]":
        return run(self.folder.parent, self.folder, "test", *options)

    def refusals(self) -> dict[str, set[int]]:
        """For each test, the lines of the validations that refuse what it gives.

        Terraform names them where a failure is not expected, and stops at the first one of a file.
        """
        whole = self.tests
        common = whole.partition('\nrun "')[0]
        for name, test in re.findall(r'^run "(\w+)" (.*?^\}$)', whole, re.MULTILINE | re.DOTALL):
            unexpected = re.sub(r"^  expect_failures = .*\n", "", test, flags=re.MULTILINE)
            file = self.folder / f"tests/{name}.tftest.hcl"
            file.write_text(f'{common}\nrun "{name}" {unexpected}\n')
        (self.folder / "tests/variables.tftest.hcl").unlink()
        found: dict[str, set[int]] = {}
        for line in self.test("-json").stdout.splitlines():
            said = json.loads(line)
            if said["type"] == "diagnostic" and said["diagnostic"]["severity"] == "error":
                [where] = re.findall(
                    r"checked by the validation rule at variables\.tf:(\d+),",
                    said["diagnostic"]["detail"],
                )
                found.setdefault(said["@testrun"], set()).add(int(where))
        return found


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.name)
def test_variables_refuse_what_they_should(folder: Path, module: Path) -> None:
    variables = Variables.of(folder, module)
    tests, done = variables.tests, variables.test("-no-color")
    assert done.returncode == 0, done.stdout + done.stderr
    [passed] = re.findall(r"Success! (\d+) passed, 0 failed", done.stdout)
    refusals = variables.refusals()
    assert int(passed) == tests.count("expect_failures = [var.") == len(refusals)
    # Every validation alone refuses something.
    lines = (module / "variables.tf").read_text().splitlines()
    validations = {number for number, line in enumerate(lines, 1) if line == "  validation {"}
    alone = {next(iter(by)) for by in refusals.values() if len(by) == 1}
    assert validations - alone == set()


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.name)
def test_every_variable_and_output_is_described(module: Path) -> None:
    for file in ("variables.tf", "outputs.tf"):
        blocks = re.split(
            r'^(?:variable|output) "', (module / file).read_text(), flags=re.MULTILINE
        )
        for block in blocks[1:]:
            assert re.search(r'^  description += ".{10,}"', block, re.MULTILINE), block
            assert file == "outputs.tf" or re.search(r"^  type +=", block, re.MULTILINE), block


def test_only_what_can_have_no_default_is_required() -> None:
    variables = re.split(r'^variable "', (INFRA / "variables.tf").read_text(), flags=re.MULTILINE)
    required = {
        variable.partition('"')[0]
        for variable in variables[1:]
        if not re.search(r"^  default +=", variable, re.MULTILINE)
    }
    assert required == {"allowed_bastion_ips", "release"}


def test_both_modules_lock_the_same_provider_for_every_system(folder: Path) -> None:
    lock = (INFRA / ".terraform.lock.hcl").read_text()
    assert lock == (BOOTSTRAP / ".terraform.lock.hcl").read_text()
    # As published: one of each kind for Linux, macOS and Windows is what people run.
    assert len(re.findall(r'"h1:', lock)) == 3
    assert len(re.findall(r'"zh:', lock)) == 15


def test_the_locked_checksum_is_that_of_the_provider_here(folder: Path) -> None:
    # Without the published checksums Terraform computes the one of what it finds.
    module = folder / "unlocked"
    module.mkdir()
    shutil.copy(INFRA / "versions.tf", module)
    versions = (module / "versions.tf").read_text()
    (module / "versions.tf").write_text(versions.partition('  backend "s3"')[0] + "}\n")
    done = run(folder, module, "init", "-input=false")
    assert done.returncode == 0, done.stderr
    computed = re.findall(r'"h1:[^"]+"', (module / ".terraform.lock.hcl").read_text())
    assert computed
    assert set(computed) <= set(
        re.findall(r'"h1:[^"]+"', (INFRA / ".terraform.lock.hcl").read_text())
    )


def test_checkov_finds_nothing_that_is_not_waived(tmp_path: Path) -> None:
    if not CHECKOV.exists():
        pytest.skip("checkov is not installed: make .venv/checkov/installed")
    done = subprocess.run(
        [
            # By its Python: its own first line fails where the checkout's path has a space.
            *(
                CHECKOV.with_name("python"),
                CHECKOV,
                "--directory",
                INFRA,
                "--framework",
                "terraform",
                "--output",
                "json",
            ),
            *("--quiet", "--compact", "--skip-download", "--skip-results-upload"),
        ],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
    )
    report = json.loads(done.stdout)
    assert report["summary"]["passed"] > 100
    assert report["summary"]["parsing_errors"] == 0
    waivers = tomllib.loads((INFRA / "waivers.toml").read_text())["checkov"]
    found = {(it["check_id"], it["resource"]) for it in report["results"]["failed_checks"]}
    used = {
        (check, pattern)
        for check, waiver in waivers.items()
        for pattern in waiver["resources"]
        for failed, resource in found
        if failed == check and matches(resource, pattern)
    }
    named = {
        (check, resource)
        for check, resource in found
        if not any(
            matches(resource, pattern) for pattern in waivers.get(check, {}).get("resources", [])
        )
    }
    assert named == set(), "found and not waived"
    stale = {
        (check, pattern) for check, waiver in waivers.items() for pattern in waiver["resources"]
    } - used
    assert stale == set(), "waived and not found"


def matches(resource: str, pattern: str) -> bool:
    """Compare with a pattern in which only * is special: brackets are part of resources' names."""
    return fnmatch(resource, pattern.replace("[", "[[]"))


@pytest.mark.parametrize("tool", ["checkov", "prowler"])
def test_no_waiver_has_expired_or_lacks_a_reason(tool: str) -> None:
    for check, waiver in tomllib.loads((INFRA / "waivers.toml").read_text())[tool].items():
        assert set(waiver) == {"resources", "reason", "owner", "expires"}, check
        assert len(waiver["reason"]) > 20, check
        assert waiver["expires"] >= datetime.now(UTC).date(), check


def test_the_display_scales_at_half_of_what_was_measured() -> None:
    results = json.loads((ROOT / "docs/benchmarks.json").read_text())["results"]
    measured = {line["name"]: line["median"] for line in results}
    profile = (INFRA / "profile.tf").read_text()
    targets = [int(target) for target in re.findall(r"display_requests += (\d+)", profile)]
    tasks = [int(units) for units in re.findall(r"task_cpu += (\d+)", profile)]
    assert len(targets) == len(tasks) == 2
    for target, units in zip(targets, tasks, strict=True):
        pages = measured[f"capacity/page-{units / 1024:g}"]
        # Requests a minute, in whole hundreds.
        assert target == int(pages * 60 / 2 / 100) * 100
