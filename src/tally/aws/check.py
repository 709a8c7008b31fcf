"""Look for every requirement, and say which are met."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from enum import StrEnum
from typing import Final, TypeVar

from botocore.exceptions import ClientError

from tally.aws import reachability
from tally.aws.inventory import Inventory
from tally.aws.inventory.resources import NotFound
from tally.aws.requirement import Concern, Evidence, NotApplicable, Requirement
from tally.aws.requirements import (
    access,
    bastion,
    containers,
    cost,
    database,
    firewall,
    flow_logs,
    images,
    ingress,
    logs,
    machines,
    network,
    public,
    serving,
    storage,
)
from tally.aws.waivers import Waiver

T = TypeVar("T")

# In the order of a report: from the outside in.
CONCERNS: Final[tuple[Concern, ...]] = (
    network.concern,
    reachability.concern,
    ingress.concern,
    firewall.concern,
    public.concern,
    machines.concern,
    containers.concern,
    serving.concern,
    images.concern,
    database.concern,
    bastion.concern,
    logs.concern,
    flow_logs.concern,
    storage.concern,
    access.concern,
    cost.concern,
)


class Status(StrEnum):
    """How a requirement stands."""

    PASS = "pass"  # noqa: S105 - no password
    FAIL = "fail"
    WAIVED = "waived"
    NOT_APPLICABLE = "not applicable"


@dataclass(frozen=True, slots=True)
class Result:
    """A requirement, how it stands, and the evidence."""

    concern: str
    requirement: Requirement
    status: Status
    evidence: tuple[Evidence, ...]
    waiver: Waiver | None = None


@dataclass(frozen=True, slots=True)
class Report:
    """Everything that one check found out."""

    name: str
    account: str
    profile: str
    address: str | None
    taken_at: datetime
    results: tuple[Result, ...]
    matrix: reachability.Matrix | None
    stale_waivers: tuple[str, ...]

    @property
    def passed(self) -> bool:
        return not self.stale_waivers and not self.count(Status.FAIL)

    def count(self, status: Status) -> int:
        return sum(result.status == status for result in self.results)


def requirements() -> list[Requirement]:
    """Every requirement there is."""
    return [it for concern in CONCERNS for it in concern.requirements]


def check(
    aws: Inventory,
    waivers: Mapping[str, Waiver],
    *,
    today: date | None = None,
    progress: Callable[[str], None] = lambda title: None,
) -> Report:
    """Look for every requirement. Raises botocore's errors if it can't reach AWS at all."""
    today = today or datetime.now(UTC).date()
    account = aws.id
    results = []
    for concern in CONCERNS:
        progress(concern.title)
        for requirement in concern.requirements:
            status, evidence = _look(requirement, aws)
            waiver = waivers.get(requirement.id) if status == Status.FAIL else None
            if waiver is not None and waiver.expires >= today:
                status = Status.WAIVED
            results.append(Result(concern.title, requirement, status, evidence, waiver))
    return Report(
        aws.name,
        account,
        _or_none(lambda: aws.profile) or "unknown",
        _or_none(lambda: public.address(aws)),
        datetime.now(UTC),
        tuple(results),
        _or_none(lambda: reachability.matrix(aws)),
        tuple(_stale(waivers.values(), results)),
    )


def _look(requirement: Requirement, aws: Inventory) -> tuple[Status, tuple[Evidence, ...]]:
    try:
        # Looks that find nothing all say the same.
        evidence = tuple(dict.fromkeys(requirement.look(aws)))
    except NotApplicable as reason:
        return Status.NOT_APPLICABLE, (Evidence("-", True, str(reason)),)
    except NotFound as missing:
        return Status.FAIL, (Evidence("-", False, f"there should be {missing}"),)
    except ClientError as error:
        # Not being allowed to look is no proof; an unreachable account fails before.
        return Status.FAIL, (Evidence("-", False, f"can't be read: {error}"),)
    return (Status.PASS if evidence and all(it.good for it in evidence) else Status.FAIL), evidence


def _or_none(ask: Callable[[], T]) -> T | None:
    """What describes the report may be missing; the results say what that means."""
    try:
        return ask()
    except (NotFound, NotApplicable, ClientError):
        return None


def _stale(waivers: Iterable[Waiver], results: list[Result]) -> Iterator[str]:
    """Waivers that name no requirement, or one that is met: each has to go."""
    statuses = {result.requirement.id: result.status for result in results}
    for waiver in waivers:
        if waiver.requirement not in statuses:
            yield f"{waiver.requirement}: there is no such requirement"
        elif statuses[waiver.requirement] == Status.PASS:
            yield f"{waiver.requirement}: is met and needs no waiver"
