"""The judge is judged: a good run passes, and one wrong thing in it is found by its checker.

The runs are those of a ledger so simple that it does one request after the other.
"""

from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from faults.checkers import CHECKERS, examine, judge
from faults.history import Fault, FinalState, History, Record

NO_ANSWER = {"error": "ReadTimeout"}
REFUSALS = (
    {"status": 422, "answer": {"status": 422, "rule": "not-a-number"}},
    {"status": 503, "answer": {"status": 503, "outcome": "not stored"}},
    {"error": "ConnectError", "never_sent": True},
)


class Run:
    """Clients and a ledger that do one thing after the other, each within its own second."""

    def __init__(self):
        self.records, self.faults = [], []
        self.entries, self.resets, self.stack = [], [], []
        self.total = {"sum": Decimal(0), "count": 0, "last_id": 0, "cleared_through": 0}
        self.answers = {}
        self.audit_status = 0
        self.back, self.resources = [], []

    def note(self, kind, service, **what):
        now = float(len(self.records) + 1)
        record = Record(1, kind, service, now, now + 0.5, **what)
        self.records.append(record)
        return record

    def store(self, values, batch, key):
        first_id = self.total["last_id"] + 1
        for value in values:
            self.total["sum"] += Decimal(value)
            self.total["count"] += 1
            self.total["last_id"] += 1
            self.entries.append((self.total["last_id"], value, f"{self.total['sum']:f}"))
        answer = {"sum": f"{self.total['sum']:f}", "count": self.total["count"]}
        if batch:
            answer |= {"first_id": first_id, "last_id": self.total["last_id"]}
        else:
            answer |= {"id": first_id, "value": values[0]}
        if key is not None:
            self.answers[key] = answer
        return answer

    def add(self, *values, batch=False, key=None):
        replayed = key in self.answers
        answer = self.answers[key] if replayed else self.store(values, batch, key)
        sent = {"values": values, "batch": batch, "key": key}
        self.note("add", "adder-1", **sent, status=201, answer=dict(answer), replayed=replayed)

    def add_unheard(self, *values, stored, batch=False, key=None):
        if stored:
            self.store(values, batch, key)
        self.note("add", "adder-1", values=values, batch=batch, key=key, **NO_ANSWER)

    def refuse(self, *values, how, batch=False, key=None):
        self.note("add", "adder-2", values=values, batch=batch, key=key, **REFUSALS[how])

    def read(self, service="display-1"):
        answer = {name: self.total[name] for name in ("count", "last_id")}
        answer["sum"] = f"{self.total['sum']:f}"
        self.note("total", service, status=200, answer=answer)

    def list(self, service="display-1", limit=3):
        current = self.entries[self.total["cleared_through"] :][::-1][:limit]
        page = [dict(zip(("id", "value", "sum_after"), row, strict=True)) for row in current]
        self.note("entries", service, status=200, answer={"entries": page})

    def list_resets(self, limit=3):
        page = [
            {name: row[name] for name in ("id", "sum", "count", "at", "undone_at")}
            for row in self.resets[::-1][:limit]
        ]
        self.note("resets", "reset-1", status=200, answer={"resets": page})

    def reset(self):
        row = {
            "id": len(self.resets) + 1,
            "sum": f"{self.total['sum']:f}",
            "count": self.total["count"],
            "cleared_from": self.total["cleared_through"],
            "cleared_through": self.total["last_id"],
            "at": len(self.records),
            "undone_at": None,
            "undone_after": None,
        }
        self.resets.append(row)
        self.stack.append(row)
        self.total |= {"sum": Decimal(0), "count": 0, "cleared_through": self.total["last_id"]}
        answer = {name: row[name] for name in ("id", "sum", "count", "at")}
        self.note("reset", "reset-1", status=201, answer=answer)

    def undo(self):
        row = self.stack.pop()
        row |= {"undone_at": len(self.records), "undone_after": self.total["last_id"]}
        self.total["sum"] += Decimal(row["sum"])
        self.total["count"] += row["count"]
        self.total["cleared_through"] = row["cleared_from"]
        answer = {name: row[name] for name in ("id", "sum", "count", "at", "undone_at")}
        self.note("undo", "reset-1", status=200, answer=answer)

    def history(self):
        history = History()
        for record in self.records:
            history.add(record)
        for fault in self.faults:
            history.mark(fault)
        return history

    def final(self):
        total = {**self.total, "sum": f"{self.total['sum']:f}"}
        return FinalState(
            self.entries, total, self.resets, self.audit_status, "", self.back, self.resources
        )

    def change(self, number, **what):
        """Change the record that has this number, from 1."""
        self.records[number - 1] = replace(self.records[number - 1], **what)

    def change_answer(self, number, **what):
        self.change(number, answer={**self.records[number - 1].answer, **what})

    def findings(self):
        return {finding.checker for finding in judge(self.history(), self.final())}


@pytest.fixture
def run():
    """Everything that can happen, gone right. The numbers are those of the records."""
    run = Run()
    run.add("0.1")  # 1
    run.add("0.2")  # 2
    run.read()  # 3
    run.add("2", "0.25", "3.000000001", batch=True, key="a")  # 4
    run.add_unheard("7", stored=True)  # 5
    run.read()  # 6
    run.add_unheard("8", stored=False)  # 7
    run.refuse("9", how=0)  # 8
    run.refuse("10", how=1, key="b")  # 9
    run.refuse("11", how=2)  # 10
    run.add_unheard("12", stored=True, key="c")  # 11
    run.add("12", key="c")  # 12
    run.list()  # 13
    run.reset()  # 14
    run.read()  # 15
    run.list()  # 16
    run.add("13")  # 17
    run.read("display-2")  # 18
    run.undo()  # 19
    run.read()  # 20
    run.list()  # 21
    run.add("2", "0.25", "3.000000001", batch=True, key="a")  # 22
    run.add_unheard("14", "15", "16", batch=True, stored=True)  # 23
    run.reset()  # 24
    run.read()  # 25
    run.list_resets()  # 26
    run.faults.append(Fault("kill an adder", 3.0, 3.5))
    run.back.append(("kill an adder", 9.9))
    run.resources += [
        ("adder-1", "memory", 60_000_000, 119_000_000),
        ("adder-1", "descriptors", 30, 50),
    ]
    return run


def test_a_good_run_passes_and_every_checker_has_facts(run):
    verdicts = examine(run.history(), run.final())
    assert [str(finding) for verdict in verdicts for finding in verdict.findings] == []
    assert {verdict.checker for verdict in verdicts if verdict.facts} == {
        checker.__name__ for checker in CHECKERS
    }


def set_entries(run, *values):
    """Make a ledger without resets hold other values, with ids and sums that belong to them."""
    other = Run()
    for value in values:
        other.store((value,), batch=False, key=None)
    run.entries, run.total = other.entries, other.total


@pytest.mark.parametrize(
    ("values", "checker"),
    [
        (["2", "3", "5", "6", "7"], None),
        (["2", "3", "5", "6", "7", "9", "10"], None),
        (["2", "3", "5", "6"], "durable_once"),  # an acknowledged add is lost
        (["2", "3", "6", "5", "7"], "durable_once"),  # two have changed places
        (["2", "3", "5", "6", "7", "7"], "durable_once"),  # one is counted twice
        (["2", "3", "5", "6", "7", "8"], "refused_absent"),
        (["2", "3", "5", "6", "7", "9"], "unknown_once"),  # half a batch
        (["2", "3", "5", "6", "7", "10", "9"], "unknown_once"),
        (["2", "3", "5", "6", "7", "9", "11", "10"], "unknown_once"),
        (["2", "3", "5", "6", "7", "11", "11"], "unknown_once"),
        (["2", "3", "5", "6", "7", "99"], "nothing_else"),
    ],
)
def test_what_the_ledger_may_hold(values, checker):
    run = Run()
    run.add("2")
    run.add("3", "5", "6", batch=True)
    run.add("7")
    run.refuse("8", how=1)
    run.add_unheard("9", "10", batch=True, stored=False)
    run.add_unheard("11", stored=False)
    set_entries(run, *values)
    assert run.findings() == ({checker} if checker else set())


def test_a_refusal_that_was_one_try_of_several_says_nothing():
    run = Run()
    run.refuse("8", how=1, key="a")
    run.add_unheard("8", key="a", stored=True)
    assert run.findings() == {"keys_settle"}
    run.add("8", key="a")
    assert run.findings() == set()
    run.entries.clear()
    run.total = Run().total
    assert "durable_once" in run.findings()


@pytest.mark.parametrize(
    "told",
    [
        {"sum": "0.30000000000000004"},
        {"sum": 0.3},  # a JSON number
        {"sum": "3e-1"},
        {"count": 3},
        {"id": 1},
        {"value": "0.1"},
        {"value": None},
    ],
)
def test_an_answer_to_an_add_is_exact(run, told):
    run.change_answer(2, **told)
    assert run.findings() == {"durable_once"}


def test_sums_of_more_digits_than_a_float_or_a_default_decimal_has_are_exact():
    run = Run()
    for _ in range(3):
        run.add(f"{10**17 + len(run.records)}.{10**8 + len(run.records)}")
    huge = "9" * 29
    run.resets.append(
        {"id": 1, "sum": run.entries[-1][2], "count": 3, "cleared_from": 0, "cleared_through": 3}
        | {"at": 3, "undone_at": None, "undone_after": None}
    )
    run.total |= {"sum": Decimal(huge + ".000000001"), "count": 1, "cleared_through": 3}
    run.total["last_id"] = 4
    run.note("reset", "reset-1", **NO_ANSWER)
    run.entries.append((4, huge + ".000000001", huge + ".000000001"))
    run.note("add", "adder-1", values=(huge + ".000000001",), **NO_ANSWER)
    assert run.findings() == set()
    run.total["sum"] = Decimal(huge + ".000000002")
    assert run.findings() == {"chain"}


def test_what_was_acknowledged_first_has_the_lower_id():
    run = Run()
    run.add("1")
    run.add("2")
    run.change(1, sent=3.0, ended=3.5)  # entry 1 was sent after entry 2 was acknowledged
    assert run.findings() == {"in_order"}
    run.change(2, ended=3.2)
    assert run.findings() == set()


@pytest.mark.parametrize(
    ("number", "told"),
    [
        (3, {"sum": "0.30000000000000004"}),
        (3, {"sum": 0.3}),
        (3, {"count": 1}),
        (3, {"sum": "0.2", "last_id": 2}),  # the sum of none of the first entries
        (3, {"sum": "0.1", "count": 1, "last_id": 1}),  # an acknowledged add is missing
        (3, {"sum": "12.550000001", "count": 6, "last_id": 6}),  # not yet sent by anybody
        (3, {"last_id": 99}),
        (6, {"sum": "2.3", "count": 3, "last_id": 3}),  # half a batch
        (15, {"sum": "24.550000001", "count": 7}),  # the reset is missing
        (18, {"sum": "37.550000001", "count": 8}),  # as if undone already
        (20, {"sum": "13", "count": 1}),  # the undo is missing
    ],
)
def test_a_total_that_was_not_the_total_then(run, number, told):
    run.change_answer(number, **told)
    assert run.findings() == {"sums_existed"}


def test_a_read_may_see_any_state_there_was_while_it_waited(run):
    after = run.records[14].answer
    run.change(15, sent=13.7, ended=19.9, answer={"sum": "24.550000001", "count": 7, "last_id": 7})
    assert run.findings() == set()
    run.change_answer(15, **after)
    assert run.findings() == set()
    run.change_answer(15, sum="13", count=1, last_id=8)
    assert run.findings() == set()
    run.change_answer(15, sum="13", count=1, last_id=7)
    assert run.findings() == {"sums_existed"}


@pytest.mark.parametrize(
    ("number", "page"),
    [
        (13, []),
        (13, [(7, "12", "24.550000001"), (5, "3.000000001", "5.550000001")]),
        (13, [(7, "12", "24.55")]),
        (13, [(6, "7", "12.550000001")]),
        (13, [(8, "13", "13")]),
        (13, [(99, "12", "24.550000001")]),
        (16, [(7, "12", "24.550000001")]),
        (21, []),
    ],
)
def test_a_page_that_was_not_the_newest_then(run, number, page):
    names = ("id", "value", "sum_after")
    run.change_answer(number, entries=[dict(zip(names, row, strict=True)) for row in page])
    assert run.findings() == {"entries_existed"}


@pytest.mark.parametrize(
    ("sent", "ended", "resets"),
    [
        (26, 26.5, []),
        (26, 26.5, [(1, "24.550000001", 7)]),  # the newest was acknowledged before
        (14.7, 15, [(2, "70.550000001", 11), (1, "24.550000001", 7)]),  # not sent yet
        (26, 26.5, [(2, "70.55", 11), (1, "24.550000001", 7)]),
        (26, 26.5, [(2, 70.550000001, 11), (1, "24.550000001", 7)]),
        (26, 26.5, [(2, "70.550000001", 11), (1, "24.550000001", 8)]),
        (26, 26.5, [(3, "0", 0), (2, "70.550000001", 11)]),
        (26, 26.5, [(1, "24.550000001", 7), (2, "70.550000001", 11)]),
    ],
)
def test_a_list_of_resets_that_was_not_the_list_then(run, sent, ended, resets):
    page = [dict(zip(("id", "sum", "count"), row, strict=True)) for row in resets]
    run.change(26, sent=sent, ended=ended, answer={"resets": page})
    assert run.findings() == {"resets_existed"}


def test_a_list_of_resets_may_be_of_any_moment_while_it_waited(run):
    run.change(26, sent=13.7)
    for listed in (run.records[25].answer["resets"], run.records[25].answer["resets"][1:], []):
        run.change(26, answer={"resets": listed})
        assert run.findings() == set()


def test_a_read_that_goes_back_though_nobody_was_told_of_the_change(run):
    run = Run()
    run.add("1")
    run.add_unheard("2", stored=True)
    run.read()
    run.read()
    older = {"sum": "1", "count": 1, "last_id": 1}
    run.change(4, answer=older)
    assert run.findings() == {"monotonic_reads"}
    run.change(4, service="display-2")
    assert run.findings() == set()
    run.change(4, service="display-1", sent=3.4)  # at the same time, any order will do
    assert run.findings() == set()


def test_a_reset_that_was_seen_is_not_unseen():
    run = Run()
    run.add("1")
    run.reset()
    run.change(2, status=None, answer=None)
    run.read()
    run.list()
    run.read()
    assert run.findings() == set()
    run.change_answer(5, sum="1", count=1)
    assert run.findings() == {"monotonic_reads"}


@pytest.mark.parametrize(
    ("change", "checker"),
    [
        (lambda run: run.entries.__setitem__(8, (11, *run.entries[8][1:])), "chain"),  # a gap
        (lambda run: run.entries.__setitem__(1, (2, "0.2", "0.30000000000000004")), "chain"),
        (lambda run: run.total.update(sum=Decimal(1)), "chain"),
        (lambda run: run.total.update(count=1), "chain"),
        (lambda run: run.total.update(last_id=12), "chain"),
        (lambda run: run.total.update(cleared_through=10), "chain"),
        (lambda run: setattr(run, "audit_status", 1), "chain"),
        (lambda run: run.resets[1].update(sum="70.550000001"), "resets"),  # it lost an add
        (lambda run: run.resets[1].update(count=10), "resets"),
        (lambda run: run.resets[1].update(cleared_from=7), "resets"),
        (lambda run: run.resets[0].update(undone_after=99), "resets"),
        (lambda run: run.change_answer(14, sum="12.550000001"), "resets"),
        (lambda run: run.change_answer(14, sum=24.550000001), "resets"),
        (lambda run: run.change_answer(14, count=6), "resets"),
        (lambda run: run.change_answer(14, id=2), "resets"),
        (lambda run: run.change_answer(24, id=3), "resets"),
        (lambda run: run.change_answer(19, sum="37.550000001"), "resets"),
        (lambda run: run.change_answer(19, id=2), "resets"),
        (lambda run: run.records.pop(23), "resets"),  # nobody asked for this reset
        (lambda run: run.records.pop(18), "resets"),  # nor for this undo
        (lambda run: run.change_answer(12, sum="25"), "durable_once"),
        (lambda run: run.change_answer(22, sum="71.550000001"), "replays"),  # as of today
        (lambda run: run.change_answer(22, first_id=4), "replays"),
        (lambda run: run.change(22, replayed=False), "replays"),
        (lambda run: run.change(1, replayed=True), "replays"),
        (lambda run: run.change(17, key="c"), "replays"),  # another request's key
        (lambda run: run.back.__setitem__(0, ("kill an adder", 11.0)), "availability"),
        (lambda run: run.back.__setitem__(0, ("kill an adder", None)), "availability"),
        (lambda run: run.back.clear(), "availability"),
        (lambda run: run.resources.append(("a", "descriptors", 30, 51)), "availability"),
        (lambda run: run.resources.append(("a", "memory", 10**8, 181 * 10**6)), "availability"),
    ],
)
def test_one_wrong_thing_is_found(run, change, checker):
    change(run)
    assert checker in run.findings()


def test_a_reset_is_undone_in_its_turn():
    run = Run()
    run.add("1")
    run.reset()
    run.add("2")
    run.reset()
    run.stack.reverse()
    run.undo()
    assert "resets" in run.findings()


def test_a_reset_that_was_retried_with_its_key_is_one():
    run = Run()
    run.add("1")
    run.reset()
    run.change(2, key="r")
    run.records.append(replace(run.records[1], sent=3.0, ended=3.5, replayed=True))
    assert run.findings() == set()
    run.change(3, key="other")
    assert run.findings() == {"resets", "replays"}


def test_a_value_that_two_requests_sent_can_not_be_judged():
    run = Run()
    run.add("1")
    run.add("1.0")
    with pytest.raises(ValueError, match="two requests"):
        judge(run.history(), run.final())


def test_the_first_findings_stand_for_the_rest():
    run = Run()
    for value in range(1, 100):
        run.add(str(value))
    run.records.clear()
    findings = [str(finding) for finding in judge(run.history(), run.final())]
    assert findings[0] == "nothing_else: entry 1 holds 1, which no client sent"
    assert findings[-1] == "nothing_else: ... and 89 more"


def test_a_history_is_read_as_it_was_written(run, tmp_path):
    path = tmp_path / "history.jsonl"
    history = run.history()
    history.write(path)
    again = History.read(path)
    assert list(again.records()) == run.records
    assert (again.faults, len(again)) == (run.faults, len(run.records))


def do(run, step, dice):  # noqa: PLR0912 - as many as there are steps
    """Do one thing, as the step says; values are distinct because time goes on."""
    number = len(run.records) + 1
    value = f"{number}.{number:09}"
    batch = (value, f"{number}.5", f"-{number}.25")
    match step:
        case "add":
            run.add(value)
        case "batch":
            run.add(*batch, batch=True, key=f"key {number}")
        case "unheard":
            run.add_unheard(value, stored=dice.random() < 0.5, key=f"key {number}")
        case "unheard batch":
            run.add_unheard(*batch, batch=True, stored=dice.random() < 0.5)
        case "refuse":
            run.refuse(value, how=dice.randrange(len(REFUSALS)), key=f"key {number}")
        case "repeat":
            keyed = [record for record in run.records if record.key is not None]
            if keyed:
                record = dice.choice(keyed)
                run.add(*record.values, batch=record.batch, key=record.key)
        case "read":
            run.read(dice.choice(("display-1", "display-2")))
        case "list":
            run.list(dice.choice(("display-1", "display-2")))
        case "reset":
            run.reset()
        case "undo":
            if run.stack:
                run.undo()
        case "list resets":
            run.list_resets()


STEPS = (
    *("add", "batch", "unheard", "unheard batch", "refuse", "repeat"),
    *("read", "list", "list resets", "reset", "undo"),
)


@st.composite
def right_runs(draw):
    """Make runs in which all went right, with something to spoil."""
    run, dice = Run(), draw(st.randoms(use_true_random=False))
    for step in [*draw(st.lists(st.sampled_from(STEPS), max_size=40)), "add", "read"]:
        do(run, step, dice)
    for record in tuple(run.records):
        if record.key is not None and record.error is not None:
            run.add(*record.values, batch=record.batch, key=record.key)
    return run


NEXT = Decimal("0.000000001")


def spoil(run, dice):
    """Make one thing wrong, whichever the dice choose."""
    told = [at for at, record in enumerate(run.records, 1) if record.status in (200, 201)]
    number = dice.choice(told)
    answer = run.records[number - 1].answer
    at = dice.randrange(len(run.entries))
    entry_id, value, sum_after = run.entries[at]
    ways = [
        lambda: run.entries.pop(at),
        lambda: run.entries.insert(at, run.entries[at]),
        lambda: run.entries.append((len(run.entries) + 1, value, sum_after)),
        lambda: run.entries.__setitem__(at, (entry_id, f"{Decimal(value) + 7000:f}", sum_after)),
        lambda: run.entries.__setitem__(at, (entry_id, value, f"{Decimal(sum_after) + NEXT:f}")),
        lambda: run.total.update(sum=run.total["sum"] + NEXT),
        lambda: run.total.update(count=run.total["count"] + 1),
        lambda: run.change(number, answer={}),
    ]
    if run.resets:
        row = dice.choice(run.resets)
        ways.append(lambda: row.update(sum=f"{Decimal(row['sum']) - NEXT:f}"))
        ways.append(lambda: row.update(count=row["count"] - 1))
    if "sum" in answer:
        ways.append(lambda: run.change_answer(number, sum=f"{Decimal(answer['sum']) + NEXT:f}"))
        ways.append(lambda: run.change_answer(number, sum=float(answer["sum"])))
        ways.append(lambda: run.change_answer(number, count=answer["count"] + 1))
    dice.choice(ways)()


@given(right_runs())
def test_no_right_run_is_found_guilty(run):
    assert [str(finding) for finding in judge(run.history(), run.final())] == []


@given(right_runs(), st.randoms(use_true_random=False))
def test_whatever_is_spoilt_is_found(run, dice):
    spoil(run, dice)
    assert run.findings()
