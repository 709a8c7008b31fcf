"""What a look before the first apply finds, and how the looks are declared."""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from tally.aws.inventory import Inventory

Ask = Callable[[str], object]
"""Asks GitHub's REST API for a path; raises `Unanswered`."""
Run = Callable[[tuple[str, ...]], str]
"""Runs a program; gives what it printed, or raises `Unanswered`."""


class Status(StrEnum):
    """How a question is answered."""

    GOOD = "good"
    BAD = "bad"
    OPEN = "open"


class Unanswered(Exception):
    """A question can't be answered from here; the message says why."""


@dataclass(frozen=True, slots=True)
class Finding:
    """A question before the first apply, its answer, and what to do unless that is good."""

    id: str
    question: str
    status: Status
    answer: str
    remedy: str


@dataclass(frozen=True, slots=True)
class Situation:
    """Where it is to be deployed from and to."""

    aws: Inventory
    profile: str
    repository: str | None
    environment: str
    github: Ask
    run: Run


@dataclass(frozen=True, slots=True)
class Question:
    """A question, how to answer it, and what to do where the answer is not good."""

    id: str
    text: str
    remedy: str
    look: Callable[[Situation], tuple[Status, str]]


@dataclass(frozen=True, slots=True)
class Subject:
    """The questions about one thing."""

    questions: list[Question] = dataclasses.field(default_factory=list)

    def asks(
        self, identifier: str, text: str, remedy: str
    ) -> Callable[[Callable[[Situation], tuple[bool, str]]], None]:
        """Declare a question, which the function that this decorates answers: well, and how."""

        def declare(look: Callable[[Situation], tuple[bool, str]]) -> None:
            def answer(situation: Situation) -> tuple[Status, str]:
                try:
                    good, said = look(situation)
                except Unanswered as reason:
                    return Status.OPEN, str(reason)
                return (Status.GOOD if good else Status.BAD), said

            self.questions.append(Question(identifier, text, remedy, answer))

        return declare
