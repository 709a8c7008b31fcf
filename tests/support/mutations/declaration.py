"""For every requirement: how to break exactly that, through AWS's own API.

A mutation names the requirement that has to fail, and its companions: requirements that are about
the same fact and can't but fail with it. Everything else has to stand as before.
"""

from collections.abc import Callable
from dataclasses import dataclass

from tests.support.mutations.cloud import Cloud

Change = Callable[[Cloud], object]


@dataclass(frozen=True)
class Mutation:
    """What to break, on which deployment, and what has to fail then."""

    requirement: str
    companions: frozenset[str]
    profile: str
    name: str
    change: Change

    @property
    def id(self) -> str:
        return f"{self.profile}-{self.requirement}-{self.name}"


MUTATIONS: list[Mutation] = []


def breaks(
    requirement: str, *companions: str, profile: str = "production", **changes: Change
) -> Callable[[Change], Change]:
    """Declare what breaks a requirement: changes given by name, or a function as a decorator.

    The small profile has a domain, the other CloudFront's own name.
    """

    def declare(change: Change, name: str = "") -> Change:
        mutation = Mutation(
            requirement, frozenset(companions), profile, name or change.__name__, change
        )
        MUTATIONS.append(mutation)
        return change

    for name, change in changes.items():
        declare(change, name)
    return declare


# For requirements that are waived, and so broken already: how to meet them.
MET: dict[str, Change] = {}


def meets(requirement: str) -> Callable:
    """Declare which waived requirement a function meets."""

    def declare(change: Change) -> Change:
        MET[requirement] = change
        return change

    return declare
