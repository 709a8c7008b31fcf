"""Which tests run which lines, and how long each takes: from a run with the code as it is."""

import json
import os
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from operator import itemgetter
from pathlib import Path
from typing import Final

from mutants.mutant import ROOT, SOURCES, Mutant

# What only a longer test would kill, a table should.
_LONGEST: Final = 10.0
# Tests of processes are not followed into them: so many seconds are taken for each.
_IN_PROCESSES: Final = 5.0


# Without what spreads tests, or looks at what was run before.
PLAIN: Final = ("-p", "no:cacheprovider", "-p", "no:xdist", "-p", "no:schemathesis")


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
        """Give the tests that may kill a mutant, the quickest first, with their seconds.

        Of what runs when the module is imported, these are all that run any of it, and those of
        documents; of SQL, all. Where there are none, these are the module's own that start
        processes.
        """
        of_lines = self.lines.get(mutant.path, {})
        running: Iterable[str] = of_lines.get(str(mutant.line), ())
        if not running:
            running = {it for tests in of_lines.values() for it in tests} | {*self._documents()}
        if mutant.path.endswith(".sql"):
            running = self.seconds
        quick = {test: self.seconds[test] for test in running if self.seconds[test] <= _LONGEST}
        if quick:
            return dict(sorted(quick.items(), key=itemgetter(1)))
        folder, _, name = f"tests/{mutant.path}".rpartition("/")
        own = f"{folder}/test_{name.removesuffix('.py')}.py::"
        return {it: _IN_PROCESSES for it in self.in_processes if it.startswith(own)}

    def _documents(self) -> Iterator[str]:
        return (it for it in self.seconds if it.startswith("tests/docs/"))


def record(tests: Iterable[str], folder: Path, sources: Path = SOURCES) -> Covering:
    """Run tests with the code as it is; raise `TestsFail`."""
    file = folder / "covering.json"
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-p", "mutants.recording", "-q", "--tb=short"),
            *(*PLAIN, *tests),
        ],
        cwd=ROOT,
        env=environment(sources) | {"MUTANTS_RECORD": str(file), "MUTANTS_SOURCES": str(sources)},
        check=False,
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise TestsFail(done.stdout + done.stderr)
    return Covering(**json.loads(file.read_text()))


def environment(sources: Path) -> dict[str, str]:
    """Let every process import Tally from these sources."""
    path = os.pathsep.join([str(sources), str(ROOT)])
    return os.environ | {"PYTHONPATH": path}
