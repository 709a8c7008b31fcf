"""Reads of the total, of the newest entries and of the newest resets."""

from collections import defaultdict
from math import inf
from typing import NamedTuple

from faults.checkers.evidence import Evidence, Facts
from faults.history import Attempt
from faults.timeline import amount


def sums_existed(evidence: Evidence) -> Facts:
    """Every total that was read was the total then, or as long before as it says of its age."""
    for attempt in evidence.answered("total"):
        yield _never_was(evidence, attempt)


def _never_was(evidence: Evidence, attempt: Attempt) -> str | None:
    who = f"{attempt.service} said at {attempt.sent:.3f}-{attempt.ended:.3f}: {attempt.answer}"
    try:
        matching = _states_read(evidence, attempt)
    except (KeyError, TypeError, ValueError) as error:
        return f"{who}, against the contract: {error!r}"
    first, last = evidence.seen(attempt)
    if _was_undone(evidence, attempt, matching, attempt.answer["last_id"]):
        return None
    wrong = None
    if not matching:
        wrong = "which never was the total"
    elif attempt.answer["last_id"] in evidence.inside_a_batch:
        wrong = "which is a part of a batch"
    elif matching[-1] < first:
        wrong = "but an acknowledged change is missing"
    elif not any(first <= state <= last for state in matching):
        wrong = "which nobody had sent yet or was over by then"
    return wrong and f"{who}, {wrong}"


def _was_undone(evidence: Evidence, attempt: Attempt, matching: list[int], newest: float) -> bool:
    """Tell whether a read saw more than a failover kept, and nothing less than is acknowledged.

    `newest` is the newest id that it saw.
    """
    first, last = evidence.seen(attempt)
    if any(first <= state <= last for state in matching):
        return False
    acknowledged = evidence.timeline.states[first].last_id
    return newest >= acknowledged and evidence.may_be_undone(attempt)


def entries_existed(evidence: Evidence) -> Facts:
    """Every page of newest entries was that then, or as long before as it says of its age."""
    stored = {
        entry_id: (amount(value), amount(sum_after))
        for entry_id, value, sum_after in evidence.final.entries
    }
    for attempt in evidence.answered("entries"):
        who = f"{attempt.service} listed at {attempt.sent:.3f}-{attempt.ended:.3f}"
        try:
            page = attempt.answer["entries"]
            matching = _states_read(evidence, attempt)
            differing = [
                entry
                for entry in page
                if (amount(entry["value"]), amount(entry["sum_after"])) != stored.get(entry["id"])
            ]
        except (KeyError, TypeError, ValueError) as error:
            yield f"{who} against the contract: {error!r}"
            continue
        first, last = evidence.seen(attempt)
        newest = page[0]["id"] if page else inf
        # The ids of what was undone are given again.
        if _was_undone(evidence, attempt, [] if differing else matching, newest):
            yield None
        elif differing:
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
    for attempt in evidence.answered("resets"):
        who = f"{attempt.service} listed resets at {attempt.sent:.3f}-{attempt.ended:.3f}"
        try:
            page = [
                (reset["id"], amount(reset["sum"]), reset["count"])
                for reset in attempt.answer["resets"]
            ]
            newest = page[0][0] if page else 0
            expected = [stored.get(number) for number in range(newest, newest - len(page), -1)]
        except (KeyError, TypeError, ValueError) as error:
            yield f"{who} against the contract: {error!r}"
            continue
        first, last = evidence.seen(attempt)
        if page != expected and evidence.may_be_undone(attempt):
            yield None
        elif page != expected:
            yield f"{who} what is not in the ledger: {page}"
        elif made.get(newest, 0) > last or made.get(newest + 1, inf) <= first:
            yield f"{who} {newest} as the newest, which it was not"
        else:
            yield None


def monotonic_reads(evidence: Evidence) -> Facts:
    """Reads through one display, one after the other, never go back further than they say."""
    for service, reads in _placed_reads(evidence).items():
        # The newest change that reads which had ended were certain to have seen. A standby shows
        # a commit before its primary does, which shows it when all have it that it waits for.
        on_primary = on_any = 0
        by_end = iter(sorted(reads, key=lambda read: read.ended))
        before = next(by_end)
        for read in sorted(reads):
            while before.ended < read.since:
                on_any = max(on_any, before.earliest)
                if not before.on_standby:
                    on_primary = max(on_primary, before.earliest)
                before = next(by_end)  # there is one: this read itself ends after it was sent
            seen = on_any if read.on_standby else on_primary
            state = evidence.timeline.states[read.latest]
            yield (
                None
                if read.latest >= seen
                else f"{service} went back at {read.sent:.3f} from"
                f" {evidence.timeline.states[seen]} to {state}"
            )


class _Read(NamedTuple):
    since: float
    sent: float
    ended: float
    earliest: int
    latest: int
    on_standby: bool


def _placed_reads(evidence: Evidence) -> dict[str, list[_Read]]:
    """List the reads of each service with the first and last state that each can have seen."""
    placed: dict[str, list[_Read]] = defaultdict(list)
    for kind in ("total", "entries"):
        for attempt in evidence.answered(kind):
            if kind == "entries" and evidence.may_be_undone(attempt):
                continue  # ids alone do not tell which of two entries it saw
            try:
                matching = _states_read(evidence, attempt)
            except (KeyError, TypeError, ValueError):
                continue  # a finding of sums_existed or entries_existed
            since, sent, ended = evidence.current_from(attempt), attempt.sent, attempt.ended
            first, last = evidence.bounds.during(since, ended)
            possible = [state for state in matching if first <= state <= last]
            if possible:
                on_standby = "behind_seconds" in attempt.answer
                read = _Read(since, sent, ended, possible[0], possible[-1], on_standby)
                placed[attempt.service].append(read)
    return placed


def _states_read(evidence: Evidence, attempt: Attempt) -> list[int]:
    """Name all states that look as this read says.

    Raises `KeyError`, `TypeError` or `ValueError` for an answer that is not one.
    """
    timeline, answer = evidence.timeline, attempt.answer
    if attempt.kind == "total":
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
