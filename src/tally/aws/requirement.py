"""What a requirement is, and what looking for it yields."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from tally.aws.account import Account


@dataclass(frozen=True, slots=True)
class Seen:
    """One thing that was looked at: which, whether it is as required, and what was read."""

    subject: str
    good: bool
    what: str


class NotApplicable(Exception):
    """The requirement does not concern this deployment; the message says why."""


Look = Callable[[Account], Iterable[Seen]]


@dataclass(frozen=True, slots=True)
class Requirement:
    """One row of the check.

    `controls` are ids of the AWS Foundational Security Best Practices (EC2.2) and of the CIS AWS
    Foundations Benchmark 5.0 (CIS 5.2).
    """

    id: str
    title: str
    controls: tuple[str, ...]
    look: Look


@dataclass(frozen=True, slots=True)
class Concern:
    """The requirements of one part of the deployment."""

    title: str
    requirements: list[Requirement] = field(default_factory=list)

    def requires(self, identifier: str, title: str, *controls: str) -> Callable[[Look], Look]:
        """Declare the requirement that a function looks for."""

        def declare(look: Look) -> Look:
            self.requirements.append(Requirement(identifier, title, controls, look))
            return look

        return declare


def equal(subject: str, name: str, found: object, wanted: object) -> Seen:
    """Compare one setting with what it has to be."""
    good = found == wanted
    return Seen(subject, good, f"{name} = {found}" + ("" if good else f", not {wanted}"))


def present(subject: str, missing: Iterable[object], what: str) -> Seen:
    """Report that nothing is missing, or what is."""
    gone = ", ".join(sorted(map(str, missing)))
    return Seen(subject, not gone, f"missing: {gone}" if gone else what)
