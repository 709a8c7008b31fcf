"""What becomes of an attempt to connect, and the attempt itself."""

from dataclasses import dataclass
from enum import StrEnum

from rehearsal.found import Host
from tally.aws.security_groups import Opening, show


class Outcome(StrEnum):
    """The attempt passes, or the first thing on its way there or back that refuses it."""

    PASSES = "passes"
    GROUP_OUT = "source's security group"
    ACL_OUT = "source's network ACL"
    ROUTE = "no route"
    ACL_IN = "target's network ACL"
    GROUP_IN = "target's security group"
    ANSWER_ACL_OUT = "target's network ACL, for the answer"
    ANSWER_ROUTE = "no route for the answer"
    ANSWER_ACL_IN = "source's network ACL, for the answer"
    SILENCE = "neither an answer nor a record"

    @property
    def of_answer(self) -> bool:
        return self.name.startswith("ANSWER_")


@dataclass(frozen=True, slots=True)
class Cell:
    """One thing to try: the port stands for all that rules treat alike."""

    source: Host
    target: Host
    protocol: str
    ports: range

    @property
    def port(self) -> int:
        return self.ports[-1]

    @property
    def shown_ports(self) -> str:
        return show(Opening("", self.protocol, self.ports))

    def __str__(self) -> str:
        return f"{self.source} → {self.target} on {self.shown_ports}"


Flow = tuple[str, str, int, str, int]
"""Protocol, source, its port, target, its port: with the addresses that the network uses."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """A cell under way, or what became of it."""

    cell: Cell
    flow: Flow
    outcome: Outcome = Outcome.SILENCE


def recorded_at(cell: Cell, outcome: Outcome) -> str | None:
    """The interface whose flow log shows the refusal; what has no route is not refused there."""
    match outcome:
        case Outcome.GROUP_OUT | Outcome.ACL_OUT | Outcome.ANSWER_ACL_IN:
            return cell.source.interface
        case Outcome.GROUP_IN | Outcome.ACL_IN | Outcome.ANSWER_ACL_OUT:
            return cell.target.interface
        case _:
            return None
