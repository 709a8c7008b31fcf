"""Look for every requirement, and say which are met."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from enum import StrEnum
from typing import Final, TypeVar

from botocore.exceptions import ClientError

from tally.aws import reachability
from tally.aws.account import Account, NotFound
from tally.aws.requirement import Concern, NotApplicable, Requirement, Seen
from tally.aws.rows import (
    access,
    bastion,
    containers,
    cost,
    database,
    denied,
    firewall,
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
    denied.concern,
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
class Row:
    """A requirement, how it stands, and by what that was seen."""

    concern: str
    requirement: Requirement
    status: Status
    evidence: tuple[Seen, ...]
    waiver: Waiver | None = None


@dataclass(frozen=True, slots=True)
class Report:
    """Everything that one check found out."""

    name: str
    account: str
    profile: str
    address: str | None
    taken_at: datetime
    rows: tuple[Row, ...]
    matrix: reachability.Matrix | None
    stale_waivers: tuple[str, ...]

    @property
    def passed(self) -> bool:
        """Whether everything required is there."""
        return not self.stale_waivers and all(row.status != Status.FAIL for row in self.rows)

    def count(self, status: Status) -> int:
        """How many rows stand so."""
        return sum(row.status == status for row in self.rows)


def requirements() -> list[Requirement]:
    """Every requirement there is."""
    return [it for concern in CONCERNS for it in concern.requirements]


def check(
    account: Account,
    waivers: Mapping[str, Waiver],
    *,
    today: date | None = None,
    progress: Callable[[str], None] = lambda title: None,
) -> Report:
    """Look for every requirement. Raises botocore's errors where AWS can't be asked at all."""
    today = today or datetime.now(UTC).date()
    number = account.id
    rows = []
    for concern in CONCERNS:
        progress(concern.title)
        for requirement in concern.requirements:
            status, evidence = _look(requirement, account)
            waiver = waivers.get(requirement.id) if status == Status.FAIL else None
            if waiver is not None and waiver.expires >= today:
                status = Status.WAIVED
            rows.append(Row(concern.title, requirement, status, evidence, waiver))
    return Report(
        account.name,
        number,
        _or_none(lambda: account.profile) or "unknown",
        _or_none(lambda: public.address(account)),
        datetime.now(UTC),
        tuple(rows),
        _or_none(lambda: reachability.matrix(account)),
        tuple(_stale(waivers.values(), rows)),
    )


def _look(requirement: Requirement, account: Account) -> tuple[Status, tuple[Seen, ...]]:
    try:
        seen = tuple(requirement.look(account))
    except NotApplicable as reason:
        return Status.NOT_APPLICABLE, (Seen("-", True, str(reason)),)
    except NotFound as missing:
        return Status.FAIL, (Seen("-", False, f"there should be {missing}"),)
    except ClientError as error:
        # Not being allowed to look is no proof; an account that can't be asked fails before.
        return Status.FAIL, (Seen("-", False, f"can't be read: {error}"),)
    if not seen:
        return Status.FAIL, (Seen("-", False, "nothing was found to which this applies"),)
    return (Status.PASS if all(it.good for it in seen) else Status.FAIL), seen


def _or_none(ask: Callable[[], T]) -> T | None:
    """What describes the report may be missing; the rows say what that means."""
    try:
        return ask()
    except (NotFound, NotApplicable, ClientError):
        return None


def _stale(waivers: Iterable[Waiver], rows: list[Row]) -> list[str]:
    """Waivers that name no requirement, or one that is met: each has to go."""
    by_id = {row.requirement.id: row for row in rows}
    stale = []
    for waiver in waivers:
        row = by_id.get(waiver.requirement)
        if row is None:
            stale.append(f"{waiver.requirement}: there is no such requirement")
        elif row.status == Status.PASS:
            stale.append(f"{waiver.requirement}: is met and needs no waiver")
    return stale
