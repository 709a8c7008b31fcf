"""What an approval is given for: four facts that tie a plan to its commit, providers and state."""

import hashlib
import json
import subprocess
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from deploy.ci.refused import Refused

LOCK_FILE = ".terraform.lock.hcl"


@dataclass(frozen=True)
class Facts:
    """Facts of one plan. Each is text, as a KMS encryption context wants it."""

    environment: str
    plan_sha256: str
    commit: str
    lock_sha256: str
    # A state is named by its lineage; its serial grows by one with every change. No state: "", "0".
    state_lineage: str
    state_serial: str

    def context(self) -> dict[str, str]:
        """Them all, by name; KMS takes no empty value."""
        return {name: value for name, value in asdict(self).items() if value}

    def to_json(self) -> str:
        """One line."""
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> "Facts":
        """Read what `to_json` wrote; raise Refused if it is anything else."""
        try:
            given = json.loads(text)
            facts = cls(**given)
        except (ValueError, TypeError) as error:
            raise Refused(f"The facts of the plan can't be read: {error}.") from error
        if not all(isinstance(getattr(facts, field.name), str) for field in fields(cls)):
            raise Refused("The facts of the plan can't be read: each must be text.")
        return facts


def sha256(file: Path) -> str:
    """The file's SHA-256, in hexadecimal."""
    return hashlib.sha256(file.read_bytes()).hexdigest()


def commit(folder: Path) -> str:
    """The commit that is checked out, in full; raise Refused if files differ from it."""
    changed = _git(folder, "status", "--porcelain")
    if changed:
        raise Refused(f"The checkout differs from its commit: {', '.join(changed.splitlines())}.")
    return _git(folder, "rev-parse", "HEAD")


def differences(approved: Facts, found: Facts) -> list[str]:
    """Say of each fact that is not as approved what it was and what it is."""
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
