"""What a person approves: facts that tie a plan to its commit, providers and state."""

import hashlib
import json
import subprocess
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from deploy.ci.refused import Refused

LOCK_FILE = ".terraform.lock.hcl"


@dataclass(frozen=True)
class Facts:
    """Facts of one plan. Each is text, because a KMS encryption context holds text."""

    environment: str
    plan_sha256: str
    commit: str
    lock_sha256: str
    # The lineage names a state; its serial grows by one with each change. Without a state: "", "0".
    state_lineage: str
    state_serial: str

    def context(self) -> dict[str, str]:
        """The facts by name, without empty values, which KMS refuses."""
        return {name: value for name, value in asdict(self).items() if value}

    def to_json(self) -> str:
        """One line of JSON."""
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> "Facts":
        """Read the output of `to_json`; raise Refused for anything else."""
        try:
            given = json.loads(text)
            facts = cls(**given)
        except (ValueError, TypeError) as error:
            raise Refused(f"The facts of the plan can't be read: {error}.") from error
        if not all(isinstance(getattr(facts, field.name), str) for field in fields(cls)):
            raise Refused("The facts of the plan can't be read: each must be text.")
        return facts


def sha256(file: Path) -> str:
    """The file's SHA-256 in hexadecimal."""
    return hashlib.sha256(file.read_bytes()).hexdigest()


def commit(folder: Path) -> str:
    """The full commit of the checkout; raise Refused if files differ from it."""
    changed = _git(folder, "status", "--porcelain")
    if changed:
        raise Refused(f"The checkout differs from its commit: {', '.join(changed.splitlines())}.")
    return _git(folder, "rev-parse", "HEAD")


def differences(approved: Facts, found: Facts) -> list[str]:
    """Describe each fact that differs from the approved one."""
    explained = {
        "environment": "The plan is for another environment",
        "plan_sha256": "The plan is not the approved one",
        "commit": "The plan was made from another commit",
        "lock_sha256": "The provider lock file has changed since the plan was made",
        "state_lineage": "The plan was made against another state",
        "state_serial": "The state has changed since the plan was made: make a new plan",
    }
    return [
        f"{explained[name]} ({name}: {value or 'none'} was approved,"
        f" {getattr(found, name) or 'none'} was found)."
        for name, value in asdict(approved).items()
        if value != getattr(found, name)
    ]


def _git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["git", "-C", str(folder), *arguments], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise Refused(f"git {arguments[0]}: {done.stderr.strip()}")
    return done.stdout.strip()
