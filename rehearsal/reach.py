"""Scenario 1: who can reach whom. Computed, tried and recorded have to agree in every cell."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from rehearsal import changes, flow_log
from rehearsal.flow_log import Delivered
from rehearsal.found import Found, Host
from rehearsal.network import Network
from rehearsal.outcome import Cell, Flow, Outcome, recorded_at
from rehearsal.packets import Prober
from rehearsal.reachability import cells, outcome
from tally.aws import reachability

Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Seen:
    """A cell, seen three times."""

    cell: Cell
    computed: Outcome
    tried: Outcome
    recorded: str | None
    """The interface whose record says REJECT."""

    @property
    def agrees(self) -> bool:
        expected = recorded_at(self.cell, self.computed)
        return self.computed == self.tried and self.recorded == expected

    def __str__(self) -> str:
        recorded = f"refused at {self.recorded}" if self.recorded else "not refused"
        return f"{self.cell}: computed {self.computed}; tried {self.tried}; recorded {recorded}"


@dataclass(frozen=True)
class Look:
    """All cells at one time, and the file of the flow log."""

    seen: list[Seen]
    delivered: Delivered | None

    @property
    def disagreements(self) -> list[Seen]:
        return [it for it in self.seen if not it.agrees]

    def differences(self, before: "Look", of: str) -> set[tuple[Cell, Outcome]]:
        """The cells that changed, and to what."""
        earlier = {it.cell: getattr(it, of) for it in before.seen}
        now = {it.cell: getattr(it, of) for it in self.seen}
        return {(cell, it) for cell, it in now.items() if earlier[cell] != it}


@dataclass(frozen=True)
class Changed:
    """What one change changed."""

    name: str
    predicted: set[tuple[Cell, Outcome]]
    tried: set[tuple[Cell, Outcome]]
    disagreements: list[Seen]

    @property
    def good(self) -> bool:
        return self.predicted == self.tried and not self.disagreements


@dataclass(frozen=True)
class Opened:
    """A port that nobody declared: before, while it was open, and after."""

    cell: Cell
    tried: list[Outcome]
    # What `tally check` found not to be as declared.
    check_said: list[list[str]]

    @property
    def noticed(self) -> list[str]:
        """What `tally check` says of the open port."""
        before, during, _ = self.check_said
        return [it for it in during if it not in before]

    @property
    def good(self) -> bool:
        shut, opened, shut_again = self.tried
        before, _, after = self.check_said
        tried_well = shut == shut_again != Outcome.PASSES and opened == Outcome.PASSES
        return tried_well and bool(self.noticed) and before == after


@dataclass(frozen=True)
class Result:
    """The scenario, done."""

    found: Found
    look: Look
    changes: list[Changed]
    opened: Opened

    @property
    def undeclared(self) -> list[str]:
        """What can be reached otherwise than is declared, as `tally check` finds."""
        return self.opened.check_said[0]

    @property
    def good(self) -> bool:
        return (
            bool(self.look.seen)
            and not self.look.disagreements
            and all(it.good for it in self.changes)
            and self.opened.good
            and not self.undeclared
        )


def look(found: Found, prober: Prober, tried: Iterable[Cell]) -> Look:
    """Compute and try each cell, deliver what was dropped, and read that."""
    attempts = prober.attempt(found, tried)
    delivered = flow_log.deliver(found, prober.drops)
    records = flow_log.read(found, delivered)
    seen = [
        Seen(it.cell, outcome(found, it.cell), it.outcome, _recorded(records, it.flow))
        for it in attempts
    ]
    return Look(seen, delivered)


def _recorded(records: dict[Flow, str], flow: Flow) -> str | None:
    protocol, source, source_port, target, port = flow
    return records.get(flow) or records.get((protocol, target, port, source, source_port))


def one_of_each(found: Found) -> list[Host]:
    """Of the interfaces with the same groups and the same subnet, one, and all outside."""
    chosen = {(it.groups, it.subnet): it for it in found.interfaces}
    return [*chosen.values(), *found.outsiders]


def run(
    found: Found, network: Network, prober: Prober, hosts: list[Host], progress: Progress
) -> Result:
    """Everybody once; then, among some hosts, each change, and a port that is opened."""
    progress("everybody tries everybody")
    first = look(found, prober, cells(found, found.hosts))
    progress("each rule is removed")
    changed = list(remove_each(found, network, prober, hosts))
    progress("a port is opened")
    opened = open_one(follow(found, network), network, prober)
    return Result(found, first, changed, opened)


def remove_each(
    found: Found, network: Network, prober: Prober, hosts: list[Host]
) -> Iterator[Changed]:
    """Remove each rule for a while, and see what changes among some hosts."""
    # As long as rules come and go, their ranges and ports are tried.
    some = list(cells(found, hosts))
    before = look(found, prober, some)
    for rule in changes.rules(found):
        with changes.removed(found, rule):
            after = look(follow(found, network), prober, some)
        predicted, tried = (after.differences(before, of) for of in ("computed", "tried"))
        yield Changed(rule.name, predicted, tried, after.disagreements)


def follow(found: Found, network: Network) -> Found:
    """Read what stands now, and let the network's filters be so."""
    now = found.again()
    network.follow(now)
    return now


def open_one(found: Found, network: Network, prober: Prober) -> Opened:
    """Open a port that is shut, for a while."""
    cell = next(_shut(found))
    tried: list[Outcome] = []
    said: list[list[str]] = []

    def attempt() -> None:
        now = follow(found, network)
        [attempt] = prober.attempt(now, [cell])
        tried.append(attempt.outcome)
        said.append(what_check_says(now))

    attempt()
    with changes.opened(found, cell):
        attempt()
    attempt()
    return Opened(cell, tried, said)


def _shut(found: Found) -> Iterator[Cell]:
    """What only the groups of both refuse, on a port that some rule names."""
    for cell in cells(found, found.interfaces):
        apart = cell.source.groups.isdisjoint(cell.target.groups)
        if apart and len(cell.ports) == 1 and outcome(found, cell) == Outcome.GROUP_OUT:
            yield cell


def what_check_says(found: Found) -> list[str]:
    """What `tally check` finds that is not as declared, of who reaches what."""
    [ports] = [it for it in reachability.concern.requirements if it.id == "reachability-ports"]
    return [f"{it.subject}: {it.what}" for it in ports.look(found.aws) if not it.good]
