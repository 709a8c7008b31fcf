"""The tests themselves: where they are, what they import, which tier they belong to."""

import ast
from collections import Counter
from pathlib import Path

import pytest

from tests.__main__ import TURNS
from tests.support.paths import ROOT, TESTS
from tests.support.postgres import PATIENCE
from tests.support.tiers import TIERS, modules, tier_of

# Folders of tests whose code is not in a folder of that name, with the code.
OTHER_CODE = {
    "contract": "src/tally/services/openapi.json",
    "e2e": "src/tally/pages",
    "workflows": ".github/workflows",
}
CODE = (ROOT / "src/tally", ROOT)


def test_no_test_module_imports_another() -> None:
    found = [
        f"{path.relative_to(ROOT)}: {name}"
        for path in sorted(TESTS.rglob("*.py"))
        for name in imported(path)
        if name.rpartition(".")[2].startswith("test_") or ".test_" in name or "conftest" in name
    ]
    assert found == []


def imported(path: Path) -> list[str]:
    return [
        name
        for node in ast.walk(ast.parse(path.read_bytes()))
        for name in (
            [it.name for it in node.names]
            if isinstance(node, ast.Import)
            else [f"{'.' * node.level}{node.module}"]
            if isinstance(node, ast.ImportFrom)
            else []
        )
    ]


def test_the_folders_are_those_of_the_code() -> None:
    folders = {path.parent.relative_to(TESTS) for path in modules()} - {Path()}
    without_code = {
        str(folder)
        for folder in folders
        if not any((root / folder).is_dir() for root in CODE)
        and not (ROOT / OTHER_CODE.get(str(folder), "none")).exists()
    }
    assert without_code == set()


@pytest.mark.parametrize("tier", TIERS)
def test_every_tier_has_tests(tier: str) -> None:
    assert Counter(map(tier_of, modules()))[tier] > 0


def test_all_tiers_are_run_once() -> None:
    run = [tier for turn in TURNS for tiers in turn for tier in tiers]
    assert sorted(run) == sorted(TIERS)


def test_a_module_belongs_to_the_tier_of_what_it_asks_for() -> None:
    assert tier_of(TESTS / "test_amount.py") == "fast"
    assert tier_of(TESTS / "ledger/test_writer.py") == "core"
    assert tier_of(TESTS / "pages/test_browser.py") == "browser"
    assert tier_of(TESTS / "infra/test_apply.py") == "deployment"


def hurries(tree: ast.AST) -> list[str]:
    """What a busy machine breaks: time that has passed must be short, or a wait ends early."""
    found = []
    for node in ast.walk(tree):
        match node:
            case ast.Assert(test=ast.Compare(left=left, ops=ops, comparators=others)):
                sides = [left, *others]
                for first, operator, second in zip(sides, ops, others, strict=False):
                    less = isinstance(operator, ast.Lt | ast.LtE)
                    if has_passed(first if less else second):
                        found.append(ast.unparse(node))
            case ast.BinOp(op=ast.Add(), left=ast.Call(func=func), right=ast.Constant(value=limit)):
                if ast.unparse(func) in CLOCKS and limit < PATIENCE:
                    found.append(ast.unparse(node))
            case ast.Call(func=func, args=args, keywords=keywords):
                name = ast.unparse(func)
                limits = [it.value for it in keywords if it.arg == "timeout"]
                if name == "asyncio.timeout":
                    limits += args
                elif name.rpartition(".")[2] not in WAITS:
                    continue
                if any(isinstance(it, ast.Constant) and it.value < PATIENCE for it in limits):
                    found.append(ast.unparse(node))
    return found


def has_passed(side: ast.expr) -> bool:
    return any(
        isinstance(node, ast.BinOp)
        and isinstance(node.op, ast.Sub)
        and isinstance(node.left, ast.Call)
        and ast.unparse(node.left.func) in CLOCKS
        for node in ast.walk(side)
    )


CLOCKS = {"time.monotonic", "time.perf_counter", "time.time"}
WAITS = {"communicate", "create_connection", "join", "run", "stream", "urlopen", "wait"}


def test_no_test_breaks_on_a_busy_machine() -> None:
    found = {
        str(path.relative_to(ROOT)): found
        for path in sorted(TESTS.rglob("*.py"))
        if (found := hurries(ast.parse(path.read_bytes())))
    }
    assert found == {}


@pytest.mark.parametrize(
    ("text", "is_found"),
    [
        ("assert time.monotonic() - began < 2", True),
        ("assert 2 >= time.monotonic() - began", True),
        ("assert time.monotonic() - began > 2", False),
        ("assert sent <= 4 * (time.monotonic() - began)", False),
        ("deadline = time.monotonic() + 30", True),
        ("deadline = time.monotonic() + 60", False),
        ("process.wait(timeout=5)", True),
        ("process.wait(timeout=60)", False),
        ("asyncio.timeout(5)", True),
    ],
)
def test_a_hurry_is_found(text: str, is_found: bool) -> None:
    assert bool(hurries(ast.parse(text))) == is_found
