"""Run a job of a workflow here: its own `run:` steps, with its own environment and order.

What GitHub would bring is brought by the test: the value of each expression, and a folder in which
artefacts lie. An expression that the test gives no value for is an error, as is an action that is
not known here. Checkouts and tools are there already. A job that takes a role has its name as its
access key, by which the emulator tells who calls.
"""

import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from tests.support.paths import WORKFLOWS

# What these do, the test has done already.
GIVEN = {
    "actions/checkout",
    "actions/setup-python",
    "hashicorp/setup-terraform",
}
# A step that needs the package index; the tests have the same packages.
INSTALL = re.compile(r"make \.venv/installed-\w+")
_EXPRESSION = re.compile(r"\$\{\{\s*(.*?)\s*\}\}")
_EQUALS = re.compile(r"(\S+) == '(\w*)'")
_RESULT = re.compile(r"(steps|needs)\.([\w-]+)\.outputs\.([\w-]+)")


class StepFailed(Exception):
    """A step ended with an error; the message is all that the job said until then."""


@dataclass
class Done:
    """A job that has run."""

    outputs: dict[str, str] = field(default_factory=dict)
    page: str = ""
    log: str = ""


@dataclass
class Runner:
    """A machine that runs jobs of one workflow in a checkout."""

    workflow: str
    checkout: Path
    environment: Mapping[str, str]
    expressions: Mapping[str, str]
    artefacts: Path
    # The outputs of jobs, and of the steps of the job that runs.
    _results: dict[tuple[str, str], dict[str, str]] = field(default_factory=dict)
    _role: dict[str, str] = field(default_factory=dict)

    def run(self, name: str) -> Done:
        """Run the job; raise StepFailed at the first step that fails."""
        job = load(self.workflow)["jobs"][name]
        self._results = {key: value for key, value in self._results.items() if key[0] == "needs"}
        variables = self._values(job.get("env", {}))
        self._role = {}
        done = Done()
        for step in job["steps"]:
            if "if" in step and self._value(step["if"]) != "true":
                continue
            if "uses" in step:
                self._use(step)
            elif not INSTALL.fullmatch(step["run"]):
                self._step(step, variables, done)
        done.outputs = self._values(job.get("outputs", {}))
        self._results["needs", name] = done.outputs
        return done

    def _step(self, step: dict[str, Any], variables: dict[str, str], done: Done) -> None:
        files = {
            "GITHUB_OUTPUT": self.artefacts / "output",
            "GITHUB_STEP_SUMMARY": self.artefacts / "page",
        }
        for file in files.values():
            file.write_text("")
        script = self.artefacts / "script.sh"
        script.write_text(step["run"])
        ran = subprocess.run(
            # As GitHub runs a step that names no shell.
            ["bash", "-e", str(script)],
            cwd=self.checkout,
            env={
                **self.environment,
                **self._role,
                **variables,
                **self._values(step.get("env", {})),
                **{name: str(path) for name, path in files.items()},
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        done.log += ran.stdout
        done.page += files["GITHUB_STEP_SUMMARY"].read_text()
        if ran.returncode:
            raise StepFailed(done.log)
        lines = files["GITHUB_OUTPUT"].read_text().splitlines()
        self._results["steps", step.get("id", "")] = dict(
            line.split("=", maxsplit=1) for line in lines
        )

    def _use(self, step: dict[str, Any]) -> None:
        action = step["uses"].partition("@")[0]
        if action == "actions/upload-artifact":
            folder = self.artefacts / step["with"]["name"]
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            for path in step["with"]["path"].split():
                shutil.copy(self.checkout / path, folder)
        elif action == "actions/download-artifact":
            folder = self.checkout / step["with"]["path"]
            # A machine that runs a job is a new one.
            shutil.rmtree(folder, ignore_errors=True)
            shutil.copytree(self.artefacts / step["with"]["name"], folder)
        elif action == "aws-actions/configure-aws-credentials":
            role = self._values(step["with"])["role-to-assume"]
            self._role = {"AWS_ACCESS_KEY_ID": role.rpartition("/")[2]}
        elif action not in GIVEN:
            raise ValueError(f"not an action that can be run here: {action}")

    def _values(self, texts: Mapping[str, Any]) -> dict[str, str]:
        return {
            name: _EXPRESSION.sub(lambda found: self._value(found[1]), str(text))
            for name, text in texts.items()
        }

    def _value(self, expression: str) -> str:
        if found := _RESULT.fullmatch(expression):
            kind, name, output = found.groups()
            # GitHub gives an empty text for what was not put out.
            return self._results.get((kind, name), {}).get(output, "")
        if (found := _EQUALS.fullmatch(expression)) and _RESULT.fullmatch(found[1]):
            return str(self._value(found[1]) == found[2]).lower()
        return self.expressions[expression]


def load(workflow: str) -> dict[str, Any]:
    """A workflow; YAML takes its `on` for a truth value, which it is called by here."""
    loaded: dict[str, Any] = yaml.safe_load((WORKFLOWS / workflow).read_text())
    return loaded


def machine(environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """An environment without what GitHub may have set for this very run."""
    return {name: value for name, value in environment.items() if not name.startswith("GITHUB_")}
