"""The judge: compares what clients saw with what the ledger holds in the end.

Each checker is a pure function that looks after one promise, which its docstring states: for each
fact it yields None, or what is wrong. None uses code of the ledger's own, and amounts are compared
as exact decimals.
"""

from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from math import inf
from typing import Any, Final, NamedTuple

from faults.history import FinalState, History, Record
from faults.timeline import (
    CREATED,
    Bounds,
    Request,
    State,
    Timeline,
    amount,
    known_without_effect,
    requests,
)

BACK_WITHIN: Final = 10.0  # seconds; what a client that retries should at most have to wait
# Allocators keep what a burst once needed, and caches fill during the run: half as much again, and
# 30 MB for small processes. A leak under faults that come by the hundred is far above that.
MEMORY_FACTOR: Final = 1.5
MEMORY_BYTES: Final = 30_000_000
# Connections that clients and the pool happen to have open just then; the idle ones of the fault
# that opens thousands must be gone.
DESCRIPTORS: Final = 20
# One broken promise can show in every entry after it.
SHOWN_PER_CHECKER: Final = 10

OK: Final = 200


@dataclass(frozen=True, slots=True)
class Finding:
    """A promise that was not kept."""

    checker: str
    detail: str

    def __str__(self) -> str:
        """Say it in one line."""
        return f"{self.checker}: {self.detail}"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What one checker found, and how many facts it looked at."""

    checker: str
    promise: str
    facts: int
    details: tuple[str, ...]

    @property
    def findings(self) -> list[Finding]:
        """Name the first broken promises, and how many more there are."""
        shown = [Finding(self.checker, detail) for detail in self.details[:SHOWN_PER_CHECKER]]
        more = len(self.details) - len(shown)
        return [*shown, Finding(self.checker, f"... and {more} more")] if more else shown


@dataclass(frozen=True, slots=True)
class Added:
    """What the answer to an add says."""

    first_id: int
    last_id: int
    sum: Any
    count: int


class Evidence:
    """The history and the final ledger, indexed for the checkers."""

    def __init__(self, history: History, final: FinalState) -> None:
        """Index them. Raises `ValueError` where a value was sent by two requests."""
        self.history = history
        self.final = final
        self.timeline = Timeline(final)
        self.adds = requests(history.records(), "add")
        self.resets = requests(history.records(), "reset")
        self.entry_ids: dict[Any, list[int]] = defaultdict(list)
        for entry_id, text, _ in final.entries:
            self.entry_ids[amount(text)].append(entry_id)
        self.senders: dict[Any, Request] = {}
        for request in self.adds:
            for value in request.values:
                if self.senders.setdefault(value, request) is not request:
                    raise ValueError(
                        f"{value} was sent by two requests: nobody can tell them apart"
                    )

    def ids(self, request: Request) -> list[list[int]]:
        """Look up, for each value of an add, the entries that hold it."""
        return [self.entry_ids.get(value, []) for value in request.values]

    @cached_property
    def bounds(self) -> Bounds:
        """When each state can have been current, from all that was answered."""
        for request in self.adds:
            for ids in self.ids(request):
                for entry_id in ids:
                    state = self.timeline.made_by_entry[entry_id]
                    self.timeline.knows(state, sent=request.sent, done=request.done)
        reset_sent: dict[Any, float] = {}
        for request in self.resets:
            for record in request.acknowledged:
                reset_sent[_id(record)] = request.sent
                made = self.timeline.made_by_reset.get(_id(record))
                if made is not None:
                    self.timeline.knows(made, sent=request.sent, done=request.done)
        told: dict[Any, list[Record]] = defaultdict(list)
        for record in self.answered("undo"):
            told[_id(record)].append(record)
        unheard = sorted(record.sent for record in self.unheard_undos)
        for number, state in self.timeline.made_by_undo.items():
            # An earlier try without an answer may have done it, but none before the reset.
            earlier = bisect_left(unheard, reset_sent.get(number, -inf))
            sent = [record.sent for record in told[number]] + unheard[earlier : earlier + 1]
            done = [_ended(record) for record in told[number]]
            self.timeline.knows(state, sent=min(sent, default=-inf), done=min(done, default=inf))
        return self.timeline.bounds()

    @cached_property
    def unheard_undos(self) -> list[Record]:
        """The undos of which nobody knows whether they had an effect."""
        return [
            record
            for record in self.history.records()
            if record.kind == "undo" and record.status != OK and not known_without_effect(record)
        ]

    @cached_property
    def empty_states(self) -> list[int]:
        """The states without current entries."""
        return [at for at, state in enumerate(self.timeline.states) if state.count == 0]

    @cached_property
    def inside_a_batch(self) -> set[int]:
        """The ids after which entries of the same request follow."""
        return {
            entry_id for request in self.adds for ids in self.ids(request)[:-1] for entry_id in ids
        }

    def answered(self, kind: str) -> Iterator[Record]:
        """Go through the reads or undos that were answered with success."""
        return (
            record
            for record in self.history.records()
            if record.kind == kind and record.status == OK and record.answer is not None
        )


Facts = Iterator[str | None]


def durable_once(evidence: Evidence) -> Facts:
    """An acknowledged add is in the ledger exactly once, with the ids and sums answered."""
    for request in evidence.adds:
        if request.acknowledged:
            yield _not_as_answered(evidence, request)


def _not_as_answered(evidence: Evidence, request: Request) -> str | None:
    try:
        answer = _added(request.acknowledged[0], request)
    except (KeyError, TypeError, ValueError) as error:
        return f"{request} was answered against the contract: {error!r}"
    found = evidence.ids(request)
    for value, ids in zip(request.values, found, strict=True):
        if not ids:
            return f"{request} was acknowledged, but {value} is lost"
        if len(ids) > 1:
            return f"{request} was acknowledged, but {value} is there {len(ids)} times: {ids}"
    told = range(answer.first_id, answer.last_id + 1)
    if len(told) != len(found) or any([told[at]] != ids for at, ids in enumerate(found)):
        return f"{request} was told {answer}, but has ids {found}"
    state = evidence.timeline.states[evidence.timeline.made_by_entry[answer.last_id]]
    if (answer.sum, answer.count) != (state.sum, state.count):
        return (
            f"{request} was told sum {answer.sum} and count {answer.count},"
            f" but they were {state.sum} and {state.count}"
        )
    return None


def refused_absent(evidence: Evidence) -> Facts:
    """An add that was refused in every try is not in the ledger."""
    for request in evidence.adds:
        if request.refused:
            ids = evidence.ids(request)
            yield f"{request} was refused, but is there: {ids}" if any(ids) else None


def unknown_once(evidence: Evidence) -> Facts:
    """An add that nobody was told of is there once or not at all, and a batch as a whole."""
    for request in evidence.adds:
        if request.refused or request.acknowledged:
            continue
        found = evidence.ids(request)
        if not any(found):
            yield None
            continue
        first_id = next(ids[0] for ids in found if ids)
        whole = [[entry_id] for entry_id in range(first_id, first_id + len(found))]
        yield None if found == whole else f"{request} is there neither once nor not at all: {found}"


def keys_settle(evidence: Evidence) -> Facts:
    """An add with a key that nobody was told of is settled by sending it again with its key."""
    for request in evidence.adds:
        unheard = any(
            record.status != CREATED and not known_without_effect(record)
            for record in request.tries
        )
        if request.key is not None and unheard:
            yield None if request.acknowledged else f"{request} was never answered"


def nothing_else(evidence: Evidence) -> Facts:
    """Every entry of the ledger was sent by a client."""
    for entry_id, value, _ in evidence.final.entries:
        known = amount(value) in evidence.senders
        yield None if known else f"entry {entry_id} holds {value}, which no client sent"


def in_order(evidence: Evidence) -> Facts:
    """What was acknowledged before an add was sent comes before it in the ledger."""
    for request in evidence.adds:
        if not request.acknowledged:
            continue
        for entry_id in evidence.entry_ids.get(request.values[-1], ()):
            state = evidence.timeline.made_by_entry[entry_id]
            after = evidence.bounds.possible_from(state)
            yield (
                None
                if after <= request.done
                else f"{request} is entry {entry_id} and was acknowledged at {request.done:.3f},"
                f" but something before it was sent only at {after:.3f}"
            )


def sums_existed(evidence: Evidence) -> Facts:
    """Every total that was read was the total at some moment while it was being read."""
    for record in evidence.answered("total"):
        yield _never_was(evidence, record)


def _never_was(evidence: Evidence, record: Record) -> str | None:
    who = f"{record.service} said at {record.sent:.3f}-{_ended(record):.3f}: {record.answer}"
    try:
        matching = _states_read(evidence, record)
    except (KeyError, TypeError, ValueError) as error:
        return f"{who}, against the contract: {error!r}"
    if not matching:
        return f"{who}, which never was the total"
    if record.answer["last_id"] in evidence.inside_a_batch:
        return f"{who}, which is a part of a batch"
    first, last = evidence.bounds.during(record.sent, _ended(record))
    if matching[-1] < first:
        return f"{who}, but an acknowledged change is missing"
    if not any(first <= state <= last for state in matching):
        return f"{who}, which nobody had sent yet or was over by then"
    return None


def entries_existed(evidence: Evidence) -> Facts:
    """Every page of newest entries was the newest page at some moment while it was being read."""
    stored = {
        entry_id: (amount(value), amount(sum_after))
        for entry_id, value, sum_after in evidence.final.entries
    }
    for record in evidence.answered("entries"):
        who = f"{record.service} listed at {record.sent:.3f}-{_ended(record):.3f}"
        try:
            page = record.answer["entries"]
            matching = _states_read(evidence, record)
            differing = [
                entry
                for entry in page
                if (amount(entry["value"]), amount(entry["sum_after"])) != stored.get(entry["id"])
            ]
        except (KeyError, TypeError, ValueError) as error:
            yield f"{who} against the contract: {error!r}"
            continue
        first, last = evidence.bounds.during(record.sent, _ended(record))
        if differing:
            yield f"{who} what is not in the ledger: {differing[0]}"
        elif not any(first <= state <= last for state in matching):
            newest = page[0] if page else "nothing"
            yield f"{who} {newest} as the newest of {len(page)}, which it was not"
        else:
            yield None


def resets_existed(evidence: Evidence) -> Facts:
    """Every page of newest resets was that at some moment while it was being read."""
    stored = {
        row["id"]: (row["id"], amount(row["sum"]), row["count"]) for row in evidence.final.resets
    }
    made = evidence.timeline.made_by_reset
    for record in evidence.answered("resets"):
        who = f"{record.service} listed resets at {record.sent:.3f}-{_ended(record):.3f}"
        try:
            page = [
                (reset["id"], amount(reset["sum"]), reset["count"])
                for reset in record.answer["resets"]
            ]
            newest = page[0][0] if page else 0
            expected = [stored.get(number) for number in range(newest, newest - len(page), -1)]
        except (KeyError, TypeError, ValueError) as error:
            yield f"{who} against the contract: {error!r}"
            continue
        first, last = evidence.bounds.during(record.sent, _ended(record))
        if page != expected:
            yield f"{who} what is not in the ledger: {page}"
        elif made.get(newest, 0) > last or made.get(newest + 1, inf) <= first:
            yield f"{who} {newest} as the newest, which it was not"
        else:
            yield None


def monotonic_reads(evidence: Evidence) -> Facts:
    """Reads through one display, one after the other, never go back."""
    for service, reads in _placed_reads(evidence).items():
        # The newest change that reads which had ended were certain to have seen.
        seen, by_end = 0, iter(sorted(reads, key=lambda read: read.ended))
        before = next(by_end)
        for read in sorted(reads):
            while before.ended < read.sent:
                seen = max(seen, before.earliest)
                before = next(by_end)  # there is one: this read itself ends after it was sent
            state = evidence.timeline.states[read.latest]
            yield (
                None
                if read.latest >= seen
                else f"{service} went back at {read.sent:.3f} from"
                f" {evidence.timeline.states[seen]} to {state}"
            )


class _Read(NamedTuple):
    sent: float
    ended: float
    earliest: int
    latest: int


def _placed_reads(evidence: Evidence) -> dict[str, list[_Read]]:
    """List the reads of each service with the first and last state that each can have seen."""
    placed: dict[str, list[_Read]] = defaultdict(list)
    for kind in ("total", "entries"):
        for record in evidence.answered(kind):
            try:
                matching = _states_read(evidence, record)
            except (KeyError, TypeError, ValueError):
                continue  # a finding of sums_existed or entries_existed
            sent, ended = record.sent, _ended(record)
            first, last = evidence.bounds.during(sent, ended)
            possible = [state for state in matching if first <= state <= last]
            if possible:
                placed[record.service].append(_Read(sent, ended, possible[0], possible[-1]))
    return placed


def chain(evidence: Evidence) -> Facts:
    """Ids have no gap, each sum follows from the one before, and the audit agrees."""
    timeline, final = evidence.timeline, evidence.final
    for expected_id, (entry_id, _, after) in enumerate(sorted(final.entries), start=1):
        state = timeline.states[timeline.made_by_entry[entry_id]]
        if entry_id != expected_id:
            yield f"entry {expected_id} is missing or there twice: {entry_id} is in its place"
        elif amount(after) != state.sum:
            yield f"entry {entry_id} has sum_after {after}, but the sum was {state.sum}"
        else:
            yield None
    row = final.total
    found = State(row["last_id"], amount(row["sum"]), row["count"], row["cleared_through"])
    last = timeline.states[-1]
    yield None if found == last else f"the total is {found}, but entries and resets make {last}"
    clean = final.audit_status == 0
    yield None if clean else f"the audit ended with {final.audit_status}: {final.audit_output}"


def resets(evidence: Evidence) -> Facts:
    """A reset answers and clears the running total, and undoing it gives back just that."""
    rows = {row["id"]: row for row in evidence.final.resets}
    for row in rows.values():
        yield _not_as_it_was(evidence.timeline, row)
    yield from _undone_out_of_turn(evidence.timeline)
    owners: dict[int, Request] = {}
    unknown = 0
    for request in evidence.resets:
        unknown += not request.acknowledged and not request.refused
        for record in request.acknowledged:
            yield (
                f"two requests were told of reset {_id(record)}"
                if owners.setdefault(_id(record), request) is not request
                else _not_as_stored(record, rows)
            )
    yield from _unasked("reset", len(rows.keys() - owners.keys()), unknown)
    told = set()
    for record in evidence.answered("undo"):
        told.add(_id(record))
        undone = rows.get(_id(record), {}).get("undone_at") is not None
        yield _not_as_stored(record, rows) if undone else f"{record.answer} was not undone"
    yield from _unasked(
        "undo", len(evidence.timeline.made_by_undo.keys() - told), len(evidence.unheard_undos)
    )


def _not_as_it_was(timeline: Timeline, row: dict[str, Any]) -> str | None:
    made = timeline.made_by_reset[row["id"]]
    was = timeline.states[made - 1]
    found = State(row["cleared_through"], amount(row["sum"]), row["count"], row["cleared_from"])
    if found != was:
        return f"reset {row['id']} says that it cleared {found}, but there was {was}"
    undone = timeline.made_by_undo.get(row["id"])
    if undone is not None and timeline.states[undone].last_id != row["undone_after"]:
        return f"reset {row['id']} was undone after entry {row['undone_after']}, which is not there"
    return None


def _undone_out_of_turn(timeline: Timeline) -> Facts:
    """Only the newest reset not yet undone can be undone."""
    made = [(state, False, number) for number, state in timeline.made_by_reset.items()]
    undone = [(state, True, number) for number, state in timeline.made_by_undo.items()]
    standing: list[int] = []
    for _, gives_back, number in sorted(made + undone):
        if not gives_back:
            standing.append(number)
        elif standing and standing[-1] == number:
            standing.pop()
            yield None
        else:
            yield f"reset {number} was undone while {standing} stood"


def _not_as_stored(record: Record, rows: dict[int, dict[str, Any]]) -> str | None:
    row = rows.get(_id(record))
    try:
        told = amount(record.answer["sum"]), record.answer["count"]
    except (KeyError, TypeError, ValueError) as error:
        return f"{record.kind} answered {record.answer}, against the contract: {error!r}"
    if row is None or told != (amount(row["sum"]), row["count"]):
        return f"{record.kind} answered {record.answer}, but the ledger has {row}"
    return None


def _unasked(kind: str, found: int, unknown: int) -> Facts:
    yield (
        None
        if found <= unknown
        else f"{found} were made by {kind} without an answer, but only {unknown} can have been"
    )


def replays(evidence: Evidence) -> Facts:
    """A key is answered for ever as it was answered first, and every repeat says that it is one."""
    owners: dict[tuple[str, str], Request] = {}
    for request in [*evidence.adds, *evidence.resets]:
        if not request.acknowledged:
            continue
        owner = request
        if request.key is not None:
            owner = owners.setdefault((request.tries[0].kind, request.key), request)
        yield (
            f"{owner} and {request} share a key" if owner is not request else _misreplayed(request)
        )


def _misreplayed(request: Request) -> str | None:
    first, *later = sorted(request.acknowledged, key=_ended)
    for record in later:
        if record.answer != first.answer:
            return f"{request} was answered {first.answer}, then {record.answer}"
        if record.sent > _ended(first) and not record.replayed:
            return f"{request} was answered again at {record.sent:.3f} as if it were new"
    if sum(not record.replayed for record in [first, *later]) > 1:
        return f"{request} was answered more than once as if it were new"
    if len(request.tries) == 1 and first.replayed:
        return f"{request} was answered as a repeat, but was sent only once"
    return None


def availability(evidence: Evidence) -> Facts:
    """Service is back within 10 seconds of each fault, and memory and descriptors come back."""
    back = evidence.final.back
    for name, seconds in back:
        if seconds is None:
            yield f"service never came back after {name}"
        else:
            late = seconds > BACK_WITHIN
            yield f"service was back only {seconds:.1f} s after {name}" if late else None
    unseen = Counter(fault.name for fault in evidence.history.faults)
    unseen -= Counter(name for name, _ in back)
    yield f"nobody looked whether service was back after {dict(unseen)}" if unseen else None
    for process, kind, before, after in evidence.final.resources:
        most = before * MEMORY_FACTOR + MEMORY_BYTES if kind == "memory" else before + DESCRIPTORS
        yield f"{process} went from {before} to {after} of {kind}" if after > most else None


CHECKERS: Final[tuple[Callable[[Evidence], Facts], ...]] = (
    durable_once,
    refused_absent,
    unknown_once,
    keys_settle,
    nothing_else,
    in_order,
    sums_existed,
    entries_existed,
    resets_existed,
    monotonic_reads,
    chain,
    resets,
    replays,
    availability,
)


def examine(history: History, final: FinalState) -> list[Verdict]:
    """Let every checker judge. Raises `ValueError` for evidence that can't be judged."""
    evidence = Evidence(history, final)
    return [_verdict(checker, evidence) for checker in CHECKERS]


def judge(history: History, final: FinalState) -> list[Finding]:
    """Name the promises that were not kept. Raises `ValueError` as `examine` does."""
    return [finding for verdict in examine(history, final) for finding in verdict.findings]


def _verdict(checker: Callable[[Evidence], Facts], evidence: Evidence) -> Verdict:
    facts, details = 0, []
    for detail in checker(evidence):
        facts += 1
        if detail is not None:
            details.append(detail)
    return Verdict(checker.__name__, checker.__doc__ or "", facts, tuple(details))


def _added(record: Record, request: Request) -> Added:
    """Read the answer to an add. Raises `KeyError`, `TypeError` or `ValueError`."""
    answer = record.answer
    if record.batch:
        ids = answer["first_id"], answer["last_id"]
    else:
        ids = answer["id"], answer["id"]
        if amount(answer["value"]) != request.values[0]:
            raise ValueError(f"another value: {answer['value']}")
    return Added(*ids, amount(answer["sum"]), answer["count"])


def _states_read(evidence: Evidence, record: Record) -> list[int]:
    """Name all states that look as this read says.

    Raises `KeyError`, `TypeError` or `ValueError` for an answer that is not one.
    """
    timeline, answer = evidence.timeline, record.answer
    if record.kind == "total":
        read = amount(answer["sum"]), answer["count"]
        return [
            at
            for at in timeline.with_last_id(answer["last_id"])
            if (timeline.states[at].sum, timeline.states[at].count) == read
        ]
    ids = [entry["id"] for entry in answer["entries"]]
    if not ids:
        return evidence.empty_states
    if ids != list(range(ids[0], ids[0] - len(ids), -1)):
        raise ValueError(f"ids with a gap: {ids}")
    return [
        at for at in timeline.with_last_id(ids[0]) if timeline.states[at].cleared_through < ids[-1]
    ]


def _id(record: Record) -> Any:  # noqa: ANN401 - what an answer says is not checked yet
    return None if record.answer is None else record.answer.get("id")


def _ended(record: Record) -> float:
    return inf if record.ended is None else record.ended
