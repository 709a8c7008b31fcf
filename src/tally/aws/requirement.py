"""What a requirement is, how to declare one, and the evidence that looking for it yields."""

import dataclasses
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Final

import jmespath

from tally.aws.inventory import Inventory
from tally.aws.inventory.resources import Resource, name_of
from tally.aws.predicates import MISSING, equals, includes, show


@dataclass(frozen=True, slots=True)
class Evidence:
    """A resource that was looked at: which, whether it is as required, and what was read."""

    subject: str
    good: bool
    what: str


class NotApplicable(Exception):
    """The requirement does not concern this deployment; the message says why."""


Look = Callable[[Inventory], Iterable[Evidence]]
# Resources with their names.
Resources = Callable[[Inventory], Iterable[tuple[str, Resource]]]
# Evidence without its subject.
Verdict = tuple[bool, str]
LookAtOne = Callable[[Inventory, Resource], Verdict]
Read = Callable[[Inventory, Resource], object]

# The end of a path: `b.c` of `a.b.c`, or a quoted name.
_END: Final = re.compile(r'((?:\w+\.)?\w+|"[^"]+")\W*$')


@dataclass(slots=True)
class Requirement:
    """One requirement of the check: each look has to find something, and all of it has to be good.

    `controls` are ids of the AWS Foundational Security Best Practices (EC2.2) and of the CIS AWS
    Foundations Benchmark 5.0 (CIS 5.2).
    """

    id: str
    title: str
    controls: tuple[str, ...]
    looks: list[Look] = dataclasses.field(default_factory=list)
    # Why the small profile need not meet it.
    exemption: str = ""

    def look(self, aws: Inventory) -> Iterator[Evidence]:
        """Yield what each look finds; raises `NotApplicable`, and what the inventory raises."""
        if self.exemption and aws.profile == "small":
            raise NotApplicable(self.exemption)
        for look in self.looks:
            found = list(look(aws))
            yield from found or [Evidence("-", False, "nothing was found to which this applies")]

    def not_if_small(self, reason: str) -> "Requirement":
        self.exemption = reason
        return self

    def __call__(self, look: Look) -> Look:
        """Look at the whole inventory, by the function that this decorates."""
        self.looks.append(look)
        return look

    def each(self, resources: Resources) -> Callable[[LookAtOne], LookAtOne]:
        """Look at each resource, by the function that this decorates."""

        def declare(look: LookAtOne) -> LookAtOne:
            self(lambda aws: (Evidence(name, *look(aws, it)) for name, it in resources(aws)))
            return look

        return declare

    def field(
        self, resources: Resources, path: str | Read, wanted: object, label: str = ""
    ) -> None:
        """Look at one value of each resource, and hold it to a value or a predicate.

        A JMESPath or a function reads it. Evidence calls it by its label, or by the last two names
        in the path.
        """
        read = path if callable(path) else _reader(path)
        shown = label or _END.findall(str(path).partition(" ||")[0])[0].strip('"')
        self.each(resources)(lambda aws, it: verdict(shown, read(aws, it), wanted))

    def names(
        self, subject: str, found: Callable[[Inventory], Iterable[str]], *wanted: str
    ) -> None:
        """Look for names, in which {name} is the deployment's and {id} the account's."""

        def look(aws: Inventory) -> Iterator[Evidence]:
            names = [it.format(name=aws.name, id=aws.id) for it in wanted]
            yield hold(subject, "names", sorted(found(aws)), includes(names))

        self(look)


def _reader(path: str) -> Read:
    expression = jmespath.compile(path)
    return lambda _, resource: expression.search(resource)


@dataclass(frozen=True, slots=True)
class Concern:
    """The requirements of one part of the deployment."""

    title: str
    requirements: list[Requirement] = dataclasses.field(default_factory=list)

    def requires(self, identifier: str, title: str, *controls: str) -> Requirement:
        """Declare a requirement; what it looks at is for its own methods to say."""
        self.requirements.append(Requirement(identifier, title, controls))
        return self.requirements[-1]


def named(key: str, select: Callable[[Inventory], Iterable[Resource]]) -> Resources:
    """Resources that AWS names under a key."""
    return lambda aws: ((name_of(it, key), it) for it in select(aws))


def where(resources: Resources, path: str) -> Resources:
    """Those of the resources of which a JMESPath is true."""
    holds = _reader(path)
    return lambda aws: ((name, it) for name, it in resources(aws) if holds(aws, it))


def hold(subject: str, label: str, found: object, wanted: object) -> Evidence:
    """Hold one value of a resource to a value or a predicate."""
    return Evidence(subject, *verdict(label, found, wanted))


def verdict(label: str, found: object, wanted: object) -> Verdict:
    """Hold what was found to a value or a predicate."""
    wrong = (wanted if callable(wanted) else equals(wanted))(found)
    if wrong.startswith(MISSING):
        return False, f"{label}: {wrong}"
    return not wrong, f"{label} = {show(found)}" + (f", {wrong}" if wrong else "")


def nothing(found: Iterable[object], otherwise: str) -> Verdict:
    """Hold that there is nothing of a kind; `otherwise` is said if so."""
    text = "; ".join(map(str, found))
    return not text, text or otherwise
