"""Terraform in one module, with the state of one deployment."""

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deploy.ci.refused import Refused


@dataclass(frozen=True)
class Terraform:
    """Terraform in a module's folder; its output goes to the log."""

    module: Path

    def init(self, state_bucket: str) -> None:
        """Install exactly the locked providers, and open the state."""
        self._run(
            "init",
            "-input=false",
            "-no-color",
            "-reconfigure",
            "-lockfile=readonly",
            f"-backend-config=bucket={state_bucket}",
        )

    def state(self) -> tuple[str, str]:
        """The state's lineage and serial; "" and "0" without a state."""
        text = self._run("state", "pull", quiet=True)
        if not text.strip():
            return "", "0"
        state = json.loads(text)
        return str(state["lineage"]), str(state["serial"])

    def outputs(self) -> dict[str, Any]:
        """The outputs of the last apply."""
        found = json.loads(self._run("output", "-json", quiet=True))
        return {name: output["value"] for name, output in found.items()}

    def plan(self, file: Path, variables: list[Path]) -> None:
        """Write a plan."""
        # The role that plans may not write, not even a lock. The state's serial shows whether
        # the state changed meanwhile.
        self._run(
            "plan",
            "-input=false",
            "-no-color",
            "-lock=false",
            f"-out={file.resolve()}",
            *(f"-var-file={path.resolve()}" for path in variables),
        )

    def show(self, file: Path) -> dict[str, Any]:
        """The plan as JSON (Terraform's JSON output format)."""
        shown: dict[str, Any] = json.loads(
            self._run("show", "-json", str(file.resolve()), quiet=True)
        )
        return shown

    def describe(self, file: Path) -> str:
        """The plan as text, without sensitive values."""
        return self._run("show", "-no-color", str(file.resolve()), quiet=True)

    def apply(self, file: Path) -> None:
        """Apply this plan; wait while another apply holds the state, and then refuse."""
        # The state's lock, and not GitHub's, keeps applies apart: a job that waits for its approval
        # would keep the place of every later one, of a roll back too.
        self._run("apply", "-input=false", "-no-color", "-lock-timeout=30m", str(file.resolve()))

    def _run(self, *arguments: str, quiet: bool = False) -> str:
        with subprocess.Popen(
            ["terraform", f"-chdir={self.module}", *arguments],
            stdout=subprocess.PIPE,
            stderr=None,
            text=True,
        ) as process:
            assert process.stdout is not None
            said = []
            for line in process.stdout:
                said.append(line)
                if not quiet:
                    print(line, end="", flush=True)
        if process.returncode:
            raise Refused(f"terraform {arguments[0]} failed; see its output above.")
        return "".join(said)
