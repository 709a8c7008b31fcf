"""Histories of a ledger so simple that it does one request after the other."""

import signal
from decimal import Decimal

from msgspec.structs import replace

from faults.checkers import findings
from faults.history import (
    Attempt,
    Command,
    Exit,
    Fault,
    FinalState,
    History,
    Peak,
    Sessions,
    Start,
    Usage,
)

NO_ANSWER = {"error": "ReadTimeout"}
REFUSALS = (
    {"status": 503, "answer": {"status": 503, "outcome": "not stored"}},
    {"error": "ConnectError", "never_sent": True},
)


class Run:
    """Clients and a ledger that do one thing after the other, each within its own second."""

    def __init__(self):
        self.attempts, self.others = [], []
        self.entries, self.resets, self.stack = [], [], []
        self.total = {"sum": Decimal(0), "count": 0, "last_id": 0, "cleared_through": 0}
        self.answers = {}

    def note(self, kind, service, **what):
        now = float(len(self.attempts) + 1)
        attempt = Attempt(1, kind, service, now, now + 0.5, **what)
        self.attempts.append(attempt)
        return attempt

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
            "at": len(self.attempts),
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
        row |= {"undone_at": len(self.attempts), "undone_after": self.total["last_id"]}
        self.total["sum"] += Decimal(row["sum"])
        self.total["count"] += row["count"]
        self.total["cleared_through"] = row["cleared_from"]
        answer = {name: row[name] for name in ("id", "sum", "count", "at", "undone_at")}
        self.note("undo", "reset-1", status=200, answer=answer)

    def history(self):
        total = {**self.total, "sum": f"{self.total['sum']:f}"}
        history = History()
        for operation in (
            *self.attempts,
            *self.others,
            FinalState(self.entries, total, self.resets),
        ):
            history.add(operation)
        return history

    def change(self, number, **what):
        """Change the attempt that has this number, from 1."""
        self.attempts[number - 1] = replace(self.attempts[number - 1], **what)

    def change_answer(self, number, **what):
        self.change(number, answer={**self.attempts[number - 1].answer, **what})

    def change_other(self, kind, **what):
        """Change the first operation of this kind."""
        at = next(at for at, other in enumerate(self.others) if isinstance(other, kind))
        self.others[at] = replace(self.others[at], **what)

    def findings(self):
        """The checkers that found something."""
        return {finding.checker for finding in findings(self.history())}


def good_run():
    """Everything that can happen, gone right. The numbers are those of the attempts."""
    run = Run()
    run.add("0.1")  # 1
    run.add("0.2")  # 2
    run.read()  # 3
    run.add("2", "0.25", "3.000000001", batch=True, key="a")  # 4
    run.add_unheard("7", stored=True)  # 5
    run.read()  # 6
    run.add_unheard("8", stored=False)  # 7
    run.refuse("9", how=0)  # 8
    run.refuse("10", how=0, key="b")  # 9
    run.refuse("11", how=1)  # 10
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
    run.others += [
        *(Start(service, 0.0) for service in ("adder-1", "display-1", "reset-1")),
        Fault("adder killed", 3.0, 12.1, 12.2),
        Fault("half a body", 11.0, 20.0, 20.0, serving=11.5),
        Exit("adder-2", 12.1, 0, signal.SIGTERM, 3.0),
        Command("migrate", 0.1, 0.2, 0, ""),
        Command("audit", 30.1, 30.2, 0, ""),
        Usage("adder-1", 1.0, 60_000_000, 30),
        Usage("adder-1", 30.0, 119_000_000, 50),
        Peak("adder-1", 20.0, "half a body", 399_000_000),
        Sessions("node-1", 20.0, 8),
    ]
    return run


def add(ended, status=201, **more):
    """An attempt to add."""
    return Attempt(
        1, "add", "adder-1", ended - 0.1, ended, values=(str(ended),), status=status, **more
    )


def ten_seconds():
    """20 adds a second, but for the fifth one, when an adder is away."""
    history = History()
    for tick in range(200):
        moment = 100 + tick / 20
        if not 105 <= moment < 106:
            history.add(add(moment))
        elif tick % 2:
            history.add(add(moment, 503, answer={"outcome": "unknown"}))
        else:
            history.add(add(moment, None, error="ReadError"))
    history.add(add(110.0, None, never_sent=True))
    history.add(Attempt(1, "total", "display-1", 110.0, 110.5, status=422, answer={}))
    return history
