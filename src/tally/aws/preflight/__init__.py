"""A look before money is spent: what would go wrong with a first apply. It only reads."""

import json
import subprocess
from collections.abc import Iterator
from typing import Final

from botocore.exceptions import ClientError

from tally.aws.inventory.resources import NotFound
from tally.aws.preflight import account, cost, github, names, tools
from tally.aws.preflight.finding import Finding, Situation, Status, Unanswered

SUBJECTS: Final = (
    account.subject,
    names.subject,
    github.subject,
    tools.subject,
    cost.subject,
)
# Seconds for a program to say its version, or GitHub to answer.
_PATIENCE: Final = 30.0


def look(situation: Situation) -> Iterator[Finding]:
    """Ask every question. Raises botocore's errors if it can't reach AWS at all."""
    for subject in SUBJECTS:
        for question in subject.questions:
            try:
                status, answer = question.look(situation)
            except (ClientError, NotFound) as error:
                # Not being allowed to ask is no answer.
                status, answer = Status.OPEN, f"can't be read: {error}"
            remedy = "" if status == Status.GOOD else question.remedy
            yield Finding(question.id, question.text, status, answer, remedy)


def run(command: tuple[str, ...]) -> str:
    """Run a program; raise `Unanswered` where it is missing or fails."""
    try:
        done = subprocess.run(  # noqa: S603 - constants, and a repository's name
            command, capture_output=True, text=True, check=True, timeout=_PATIENCE
        )
    except FileNotFoundError:
        raise Unanswered(f"{command[0]} is not installed") from None
    except subprocess.CalledProcessError as error:
        said = (error.stderr or error.stdout).strip().partition("\n")[0]
        raise Unanswered(f"{command[0]}: {said or f'exit status {error.returncode}'}") from None
    except subprocess.TimeoutExpired:
        raise Unanswered(f"{command[0]} does not answer") from None
    return done.stdout


def ask_github(path: str) -> object:
    """Ask GitHub's REST API by its command line, which knows who asks."""
    return json.loads(run(("gh", "api", path)))
