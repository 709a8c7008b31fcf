"""The tests themselves: where they are, what they import, which tier they belong to."""

import ast
from collections import Counter
from pathlib import Path

import pytest

from tests.__main__ import PROCESSES
from tests.support.paths import ROOT, TESTS
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
    run = [tier for tiers in PROCESSES for tier in tiers]
    assert sorted(run) == sorted(TIERS)


def test_a_module_belongs_to_the_tier_of_what_it_asks_for() -> None:
    assert tier_of(TESTS / "test_amount.py") == "fast"
    assert tier_of(TESTS / "ledger/test_writer.py") == "core"
    assert tier_of(TESTS / "pages/test_browser.py") == "browser"
    assert tier_of(TESTS / "infra/test_apply.py") == "deployment"
