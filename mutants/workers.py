"""Processes that run tests against mutants, each with a copy of the sources of its own."""

import compileall
import json
import os
import py_compile
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import cache
from importlib.util import cache_from_source
from pathlib import Path
from queue import SimpleQueue
from threading import Event, Lock
from typing import IO, TYPE_CHECKING, Final

from mutants.covering import PLAIN, Covering, TestsFail, environment
from mutants.mutant import PACKAGE, ROOT, SOURCES, Mutant
from mutants.outcome import Outcome, Trial

if TYPE_CHECKING:
    from mutants.lender import Lender

# What makes a database or its roles is tested on a server of its own.
_MAKES_DATABASES: Final = tuple(
    f"ledger/{name}" for name in ("grants", "migrat", "privileges", "roles", "schema", "scram")
)
_OK, _NO_TESTS = 0, 5


@dataclass
class Worker:
    """A pytest that forks, the sources that its forks import, and the server that they are lent."""

    sources: Path
    process: "subprocess.Popen[str]"
    results: IO[str]
    lend: Callable[[], "Lender"]
    checked: bool = False

    def try_out(self, mutant: Mutant, covering: Covering) -> Outcome:
        """Run the tests that may kill it until one does; raise `TestsFail` if anything would."""
        tests = covering.tests_of(mutant)
        if not tests:
            return Outcome.SURVIVED
        if not self.checked:
            self.checked = True
            unchanged = (PACKAGE / mutant.path).read_text()
            if self._outcome(replace(mutant, text=unchanged), tests) is not Outcome.SURVIVED:
                raise TestsFail(f"run in a fork, one of these fails: {', '.join(tests)}")
        return self._outcome(mutant, tests)

    def _outcome(self, mutant: Mutant, tests: dict[str, float]) -> Outcome:
        file = self.sources / "tally" / mutant.path
        original = file.read_bytes()
        Path(cache_from_source(str(file))).unlink(missing_ok=True)
        file.write_text(mutant.text)
        try:
            if not _uses_a_database(mutant):
                return self._run(tests, {})
            outcome = self._run(tests, self.lend().environment)
        finally:
            file.write_bytes(original)
        if outcome is not Outcome.SURVIVED:
            self.lend().clean_up()
        return outcome

    def _run(self, seconds: dict[str, float], variables: dict[str, str]) -> Outcome:
        assert self.process.stdin is not None
        job = {"seconds": seconds, "variables": variables}
        self.process.stdin.write(f"{json.dumps(job)}\n")
        self.process.stdin.flush()
        status = int(self.results.readline())
        if status < 0:
            return Outcome.TIMED_OUT
        return Outcome.SURVIVED if status in {_OK, _NO_TESTS} else Outcome.KILLED


def _uses_a_database(mutant: Mutant) -> bool:
    """Tell whether its tests can share a server, and need one."""
    return mutant.path.startswith("ledger/") and not mutant.path.startswith(_MAKES_DATABASES)


def try_out_all(
    mutants: Iterator[Mutant], covering: Covering, workers: int
) -> Generator[Trial, None, None]:
    """Try mutants in several workers, and give each with its outcome as it comes.

    Whoever closes it waits for those that are being tried.
    """
    waiting, ended = Lock(), Event()
    done: SimpleQueue[Trial | None] = SimpleQueue()

    def work() -> None:
        try:
            with worker(covering) as own:
                while True:
                    with waiting:
                        mutant = None if ended.is_set() else next(mutants, None)
                    if mutant is None:
                        return
                    began = time.monotonic()
                    outcome = own.try_out(mutant, covering)
                    done.put(Trial(mutant, outcome, time.monotonic() - began))
        finally:
            done.put(None)

    with ThreadPoolExecutor(workers) as pool:
        runs = [pool.submit(work) for _ in range(workers)]
        try:
            for _ in runs:
                yield from iter(done.get, None)
        finally:
            ended.set()
        for run in runs:
            run.result()


@contextmanager
def worker(covering: Covering) -> Iterator[Worker]:
    """Start a worker."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tally-mutants-")))
        folder.chmod(0o755)
        sources = folder / "src"
        shutil.copytree(SOURCES, sources, ignore=shutil.ignore_patterns("__pycache__"))
        compileall.compile_dir(
            sources, quiet=1, invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH
        )
        lend = cache(lambda: _lend(stack))
        results, told = os.pipe()
        process = stack.enter_context(_pytest(sources, told))
        os.close(told)
        assert process.stdin is not None
        process.stdin.write(f"{json.dumps(covering.modules)}\n")
        with process.stdin, os.fdopen(results) as lines:
            yield Worker(sources, process, lines, lend)


def _lend(stack: ExitStack) -> "Lender":
    from mutants.lender import lender  # noqa: PLC0415 - which needs a ledger

    return stack.enter_context(lender())


def _pytest(sources: Path, results: int) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [
            sys.executable,
            "-m",
            "pytest",
            "-p",
            "mutants.forking",
            "-xsq",
            "--tb=no",
            "-p",
            "no:xdist",
            *PLAIN,
        ],
        cwd=ROOT,
        # No mutant's bytecode is kept: it would be taken for the next one's.
        env=environment(sources)
        | {"MUTANTS_RESULTS": str(results), "PYTHONDONTWRITEBYTECODE": "1"},
        pass_fds=[results],
        stdin=subprocess.PIPE,
        text=True,
    )
