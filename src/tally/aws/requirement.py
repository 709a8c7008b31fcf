"""What a requirement is, and what looking for it yields."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from tally.aws.inventory import Inventory
from tally.aws.inventory.resources import Resource


@dataclass(frozen=True, slots=True)
class Evidence:
    """One thing that was looked at: which, whether it is as required, and what was read."""

    subject: str
    good: bool
    what: str


class NotApplicable(Exception):
    """The requirement does not concern this deployment; the message says why."""


Look = Callable[[Inventory], Iterable[Evidence]]


@dataclass(frozen=True, slots=True)
class Requirement:
    """One requirement of the check.

    `controls` are ids of the AWS Foundational Security Best Practices (EC2.2) and of the CIS AWS
    Foundations Benchmark 5.0 (CIS 5.2).
    """

    id: str
    title: str
    controls: tuple[str, ...]
    look: Look


@dataclass(frozen=True, slots=True)
class Field:
    """A requirement that is one field equal to one value; `missing` is what absence means."""

    id: str
    title: str
    controls: tuple[str, ...]
    key: str
    wanted: object
    missing: object = None


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

    def requires_fields(
        self, resources: Callable[[Inventory], Iterable[tuple[str, Resource]]], *fields: Field
    ) -> None:
        """Declare what a field of each resource, given with its name, has to be."""
        for field_ in fields:
            self.requires(field_.id, field_.title, *field_.controls)(_comparison(resources, field_))


def _comparison(
    resources: Callable[[Inventory], Iterable[tuple[str, Resource]]], wanted: Field
) -> Look:
    def look(aws: Inventory) -> Iterator[Evidence]:
        for name, resource in resources(aws):
            found = resource.get(wanted.key, wanted.missing)
            yield equal(name, wanted.key, found, wanted.wanted)

    return look


def equal(subject: str, name: str, found: object, wanted: object) -> Evidence:
    """Compare one setting with what it has to be."""
    good = found == wanted
    return Evidence(subject, good, f"{name} = {found}" + ("" if good else f", not {wanted}"))


def present(subject: str, missing: Iterable[object], what: str) -> Evidence:
    """Report that nothing is missing, or what is."""
    gone = ", ".join(sorted(map(str, missing)))
    return Evidence(subject, not gone, f"missing: {gone}" if gone else what)
