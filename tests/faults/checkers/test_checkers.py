"""All checkers together: a right history passes, and whatever is spoilt in it is found."""

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from faults.checkers import CHECKERS, check, findings
from tests.support.model_history import REFUSALS, Run


def test_a_good_run_passes_and_every_checker_has_facts(run):
    verdicts = check(run.history())
    assert [str(finding) for verdict in verdicts for finding in verdict.findings] == []
    assert {verdict.checker for verdict in verdicts if verdict.facts} == {
        checker.__name__ for checker in CHECKERS
    }


def test_the_first_findings_stand_for_the_rest():
    run = Run()
    for value in range(1, 100):
        run.add(str(value))
    run.attempts.clear()
    shown = [str(finding) for finding in findings(run.history())]
    assert shown[0] == "nothing_else: entry 1 holds 1, which no client sent"
    assert shown[-1] == "nothing_else: ... and 89 more"


def do(run, step, rng):  # noqa: PLR0912 - as many as there are steps
    """Do one thing, as the step says; values are distinct because time goes on."""
    number = len(run.attempts) + 1
    value = f"{number}.{number:09}"
    batch = (value, f"{number}.5", f"-{number}.25")
    match step:
        case "add":
            run.add(value)
        case "batch":
            run.add(*batch, batch=True, key=f"key {number}")
        case "unheard":
            run.add_unheard(value, stored=rng.random() < 0.5, key=f"key {number}")
        case "unheard batch":
            run.add_unheard(*batch, batch=True, stored=rng.random() < 0.5)
        case "refuse":
            run.refuse(value, how=rng.randrange(len(REFUSALS)), key=f"key {number}")
        case "repeat":
            keyed = [attempt for attempt in run.attempts if attempt.key is not None]
            if keyed:
                attempt = rng.choice(keyed)
                run.add(*attempt.values, batch=attempt.batch, key=attempt.key)
        case "read":
            run.read(rng.choice(("display-1", "display-2")))
        case "list":
            run.list(rng.choice(("display-1", "display-2")))
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
    run, rng = Run(), draw(st.randoms(use_true_random=False))
    for step in [*draw(st.lists(st.sampled_from(STEPS), max_size=40)), "add", "read"]:
        do(run, step, rng)
    for attempt in tuple(run.attempts):
        if attempt.key is not None and attempt.error is not None:
            run.add(*attempt.values, batch=attempt.batch, key=attempt.key)
    return run


NEXT = Decimal("0.000000001")


def spoil(run, rng):
    """Make one thing wrong, whichever the rng chooses."""
    told = [at for at, attempt in enumerate(run.attempts, 1) if attempt.status in (200, 201)]
    number = rng.choice(told)
    answer = run.attempts[number - 1].answer
    at = rng.randrange(len(run.entries))
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
        row = rng.choice(run.resets)
        ways.append(lambda: row.update(sum=f"{Decimal(row['sum']) - NEXT:f}"))
        ways.append(lambda: row.update(count=row["count"] - 1))
    if "sum" in answer:
        ways.append(lambda: run.change_answer(number, sum=f"{Decimal(answer['sum']) + NEXT:f}"))
        ways.append(lambda: run.change_answer(number, sum=float(answer["sum"])))
        ways.append(lambda: run.change_answer(number, count=answer["count"] + 1))
    rng.choice(ways)()


@given(right_runs())
def test_nothing_is_found_in_a_right_run(run):
    assert [str(finding) for finding in findings(run.history())] == []


@given(right_runs(), st.randoms(use_true_random=False))
def test_whatever_is_spoilt_is_found(run, rng):
    spoil(run, rng)
    assert run.findings()
