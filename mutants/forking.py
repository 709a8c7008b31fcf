"""A pytest plugin: runs chosen tests again and again, each time in a fork of this process.

It forks before anything of Tally is imported, so that each fork imports the file as it is then.
What Tally itself imports, which takes seconds, is imported once.
"""

import contextlib
import gc
import importlib
import json
import os
import signal
import sys
from collections.abc import Generator, Mapping
from typing import Final

import pytest
from hypothesis import Phase, settings

# A test may take so many seconds, and so many times as long as with the code as it is.
GRACE: Final = 15
TIMES: Final = 10
# Importing and collecting.
_COLLECTING: Final = 60


def pytest_cmdline_main(config: pytest.Config) -> int | None:
    """For each job, let a fork go on to run the tests; this process only waits for it."""
    results = os.fdopen(int(os.environ["MUTANTS_RESULTS"]), "w")
    jobs = (json.loads(line) for line in sys.stdin)
    for name in next(jobs):
        with contextlib.suppress(Exception):
            importlib.import_module(name)
    if tiers := sys.modules.get("tests.support.tiers"):  # reads the text of every test
        for module in tiers.modules():
            tiers.tier_of(module)
    # The same examples for each mutant, and what fails need not be made small.
    settings.register_profile(
        "mutants", derandomize=True, database=None, phases=[Phase.explicit, Phase.generate]
    )
    settings.load_profile("mutants")
    assert "tally" not in sys.modules, "the forks would all run the same code"
    gc.collect()
    gc.freeze()
    for job in jobs:
        child = os.fork()
        if child == 0:
            _become_run(config, **job)
            return None
        results.write(f"{_wait(child)}\n")
        results.flush()
    return 0


def _become_run(
    config: pytest.Config, seconds: Mapping[str, float], variables: Mapping[str, str]
) -> None:
    os.setsid()
    nothing = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(nothing, descriptor)
    os.environ.update(variables)
    config.args = list(dict.fromkeys(test.partition("::")[0] for test in seconds))
    config.pluginmanager.register(_Chosen(seconds))
    signal.alarm(_COLLECTING)  # unhandled, it ends the process


class _Chosen:
    """Runs the chosen tests in their order, each for a bounded time, and ends with the run."""

    def __init__(self, seconds: Mapping[str, float]) -> None:
        self._seconds = seconds

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        found = {item.nodeid: item for item in items}
        items[:] = [found[test] for test in self._seconds if test in found]

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        signal.alarm(GRACE + int(TIMES * self._seconds[nodeid]))

    @pytest.hookimpl(wrapper=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> Generator[None, None, None]:
        yield
        os._exit(int(session.exitstatus))


def _wait(child: int) -> int:
    """Give the child's exit status, negative for a signal, and leave nothing of it behind."""
    _, status = os.waitpid(child, 0)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child, signal.SIGKILL)
    return os.waitstatus_to_exitcode(status)
