"""A mutant: a file with one small change."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[1]
SOURCES: Final = ROOT / "src"
PACKAGE: Final = SOURCES / "tally"
_TESTS: Final = {
    "amount": ["tests/test_amount.py"],
    "web": ["tests/web", "tests/docs/test_security.py"],  # a page with each limit
    "ledger": ["tests/ledger", "tests/cli/test_backup.py", "tests/simulation/test_search.py"],
}
# Where a module's own tests are, if not in the file of its name.
TESTED_IN: Final = {
    f"ledger/{module}.py": f"tests/{file}.py"
    for module, file in {
        "backup": "cli/test_backup",
        "history_audit": "ledger/test_audit",
        "listing": "ledger/test_reader",
        "recent": "ledger/test_history",
        "recomputation": "ledger/test_audit",
        "restore": "cli/test_backup",
        "row_importer": "ledger/test_importer",
        "scram": "ledger/test_passwords",
    }.items()
}
# Those of all that take longest, and are not asked: what only they would kill, a table should.
LONG: Final = (
    "tests/ledger/test_concurrency.py",
    "tests/ledger/test_hangs.py",
    "tests/ledger/test_model.py",
    "tests/ledger/test_poolers.py",
    "tests/ledger/test_stolen_roles.py::test_every_setting_that_a_role_leaves_behind_is_harmless",
    "tests/ledger/test_writer.py::test_exactly_once_when_answers_get_lost",
    "tests/ledger/test_writer.py::test_exactly_once_when_backends_are_killed",
    "tests/simulation/test_search.py::test_every_schedule_keeps_every_promise[2-3600]",
)
ARROW: Final = "  ->  "


@dataclass(frozen=True)
class Mutant:
    """`path` is below src/tally; `line` is the first that differs, counted from 1."""

    path: str
    line: int
    change: str
    text: str

    @property
    def name(self) -> tuple[str, str]:
        """What stays the same when lines move."""
        return self.path, self.change

    def __str__(self) -> str:
        return f"src/tally/{self.path}:{self.line}: {self.change}"


def modules() -> list[Path]:
    """Every file that is mutated, those whose tests are quick first."""
    found = [PACKAGE / "amount.py"]
    for part in ("web", "ledger"):
        found += sorted(it for it in (PACKAGE / part).rglob("*") if it.suffix in {".py", ".sql"})
    return [it for it in found if it.name != "__init__.py" and not _is_plain_migration(it)]


def _is_plain_migration(path: Path) -> bool:
    """What a revision does stands in its SQL."""
    return "migrations" in path.parts and path.suffix == ".py"


def tests_of(path: Path) -> list[str]:
    """Give the tests that must kill a file's mutants: those of its own layer."""
    part = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    return _TESTS[part]
