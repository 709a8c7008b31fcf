"""Which tests run which lines, and how long each takes: from a run with the code as it is."""

import json
import os
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from mutants.mutant import LONG, PACKAGE, ROOT, SOURCES, TESTED_IN, Mutant

# As in `LONG`, on this machine.
_LONGEST: Final = 30.0
# What is not killed by then is no mutant that tests should take so long for: of a module's own
# tests, and then of the others. Which tests run SQL is not known, and all may.
_TOGETHER: Final = 60.0
# Tests of processes are not followed into them: so many seconds are taken for each.
_IN_PROCESSES: Final = 5.0


# Without what looks at what was run before, or takes long to load.
PLAIN: Final = ("-p", "no:cacheprovider", "-p", "no:schemathesis")


class TestsFail(Exception):
    """The tests fail with the code as it is."""


@dataclass(frozen=True)
class Covering:
    """`lines` has, for each file below src/tally, the tests that run each of its lines."""

    seconds: Mapping[str, float]
    in_processes: list[str]
    lines: Mapping[str, Mapping[str, list[str]]]
    modules: list[str]

    def tests_of(self, mutant: Mutant) -> dict[str, float]:
        """Give the tests that may kill a mutant and their seconds.

        Those of the module's own file and of documents come first, a minute of them; then a minute
        of others. In each the quickest come first.

        Of what no test runs in its process, such as what runs when the module is imported, these
        are the module's own, also those that start processes, those of documents, and all that run
        any of it or of those that import from it; of SQL, all.
        """
        if mutant.path.endswith(".sql"):
            return self._quickest(self.seconds)
        own = _tests_own_to(mutant.path)
        first = own, "tests/docs/"
        running: Iterable[str] = self.lines.get(mutant.path, {}).get(str(mutant.line), ())
        outside = not running
        if outside:
            affected = [self.lines.get(it, {}) for it in (mutant.path, *self._importers(mutant))]
            running = {it for lines in affected for tests in lines.values() for it in tests}
            running |= {it for it in self.seconds if it.startswith(first)}
        asked = self._quickest(running, first)
        if outside or not asked:
            in_processes = (it for it in self.in_processes if it.startswith(own))
            asked |= dict.fromkeys(in_processes, _IN_PROCESSES)
        return asked

    def _quickest(self, tests: Iterable[str], first: tuple[str, ...] = ()) -> dict[str, float]:
        """Order tests by their seconds, those that come first before others, and bound both."""
        quick = ((it, self.seconds[it]) for it in tests if self.seconds[it] <= _LONGEST)
        asked: dict[str, float] = {}
        so_far = {True: 0.0, False: 0.0}
        for test, seconds in sorted(quick, key=lambda it: (not it[0].startswith(first), it[1])):
            so_far[test.startswith(first)] += seconds
            if so_far[test.startswith(first)] <= _TOGETHER:
                asked[test] = seconds
        return asked

    def _importers(self, mutant: Mutant) -> Iterator[str]:
        """Give the files that import what the mutant's module defines, constants say."""
        module = f"tally.{mutant.path.removesuffix('.py').replace('/', '.')}"
        for file in self.lines:
            if f"from {module} import " in (PACKAGE / file).read_text():
                yield file


def _tests_own_to(module: str) -> str:
    folder, _, name = f"tests/{module}".rpartition("/")
    file = TESTED_IN.get(module, f"{folder}/test_{name.removesuffix('.py')}.py")
    return f"{file}::"


def record(tests: Iterable[str], folder: Path, workers: int, sources: Path = SOURCES) -> Covering:
    """Run tests with the code as it is; raise `TestsFail`."""
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-p", "mutants.recording", "-q", "--tb=short"),
            *(*PLAIN, "-n", str(workers), "--dist=loadfile", "--no-loadscope-reorder"),
            *(f"--deselect={test}" for test in LONG),
            *tests,
        ],
        cwd=ROOT,
        env=environment(sources)
        | {"MUTANTS_RECORDS": str(folder), "MUTANTS_SOURCES": str(sources)},
        check=False,
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise TestsFail(done.stdout + done.stderr)
    return _merged(json.loads(file.read_text()) for file in folder.iterdir())


def _merged(records: Iterable[dict[str, Any]]) -> Covering:
    """Put together what each process recorded."""
    seconds: dict[str, float] = {}
    in_processes: set[str] = set()
    lines: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    modules: dict[str, None] = {}
    for record in records:
        seconds |= record["seconds"]
        in_processes |= {*record["in_processes"]}
        modules |= dict.fromkeys(record["modules"])
        for file, of_lines in record["lines"].items():
            for line, tests in of_lines.items():
                lines[file][line] += tests
    return Covering(seconds, sorted(in_processes), lines, list(modules))


def environment(sources: Path) -> dict[str, str]:
    """Let every process import Tally from these sources; none takes itself for a worker of ours."""
    path = os.pathsep.join([str(sources), str(ROOT)])
    ours = {name: it for name, it in os.environ.items() if not name.startswith("PYTEST_XDIST")}
    return ours | {"PYTHONPATH": path}
