"""A pytest plugin: notes which lines each test runs, and how long it takes."""

import json
import os
import sys
import time
from collections import defaultdict
from collections.abc import Generator
from pathlib import Path

import coverage
import pytest

from mutants.mutant import ROOT

# A test that asks for one of these runs the code in processes of its own, and so do those of
# commands.
PROCESSES = frozenset({"tally_up"})
COMMANDS = "tests/cli/"
_IMPORTED = ""


class Recording:
    """Writes a JSON file when the run is over."""

    def __init__(self, file: Path, sources: Path) -> None:
        self._file = file
        self._sources = sources
        self._coverage = coverage.Coverage(data_file=None, config_file=False, source=[str(sources)])
        self._seconds: dict[str, float] = {}
        self._in_processes: list[str] = []
        self._coverage.start()

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        self._in_processes = [
            it.nodeid
            for it in items
            if PROCESSES & {*it.fixturenames} or it.nodeid.startswith(COMMANDS)  # type: ignore[attr-defined]
        ]
        items[:] = [it for it in items if it.nodeid not in {*self._in_processes}]

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, object, object]:
        self._coverage.switch_context(item.nodeid)
        began = time.monotonic()
        try:
            return (yield)
        finally:
            self._seconds[item.nodeid] = time.monotonic() - began
            self._coverage.switch_context(_IMPORTED)

    def pytest_sessionfinish(self) -> None:
        self._coverage.stop()
        data = self._coverage.get_data()
        lines: dict[str, dict[int, list[str]]] = defaultdict(dict)
        for file in data.measured_files():
            name = str(Path(file).relative_to(self._sources / "tally"))
            for line, tests in data.contexts_by_lineno(file).items():
                lines[name][line] = [it for it in tests if it != _IMPORTED]
        # Whatever else is in the checkout may import Tally, too.
        ours = {"tally", *(it.name for it in ROOT.iterdir())}
        others = [it for it in sys.modules if it.partition(".")[0] not in ours]
        self._file.write_text(
            json.dumps(
                {
                    "seconds": self._seconds,
                    "in_processes": self._in_processes,
                    "lines": lines,
                    "modules": others,
                }
            )
        )


def pytest_configure(config: pytest.Config) -> None:
    """Begin before anything of Tally is imported."""
    worker = os.environ.get("PYTEST_XDIST_WORKER")
    if worker is not None:  # the process that spreads the tests runs none
        file = Path(os.environ["MUTANTS_RECORDS"]) / f"{worker}.json"
        config.pluginmanager.register(Recording(file, Path(os.environ["MUTANTS_SOURCES"])))
