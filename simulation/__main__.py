"""`python -m simulation`: search for a schedule that breaks a promise, or replay one."""

import argparse
import multiprocessing
import os
import sys
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from typing import Final

from simulation.search import Finding, lines, quieten, replay, search

_NO_END: Final = sys.maxsize


def main() -> int:
    """Search; return 0 if every schedule kept every promise, 1 if one did not."""
    arguments = _arguments()
    quieten()
    if arguments.replay:
        return _show(arguments.replay)
    seeds = [arguments.seed + worker for worker in range(arguments.workers)]
    _say(f"simulation: seeds {seeds[0]} to {seeds[-1]}, {arguments.seconds:.0f} s")
    began = time.monotonic()
    tried = 0
    found: list[Finding] = []
    spawning = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(arguments.workers, spawning, quieten) as pool:
        searches = [
            pool.submit(search, seed, runs=arguments.runs, seconds=arguments.seconds)
            for seed in seeds
        ]
        for done in as_completed(searches):
            outcome = done.result()
            tried += outcome.runs if isinstance(outcome, Finding) else outcome
            if isinstance(outcome, Finding) and outcome not in found:
                found.append(outcome)
    took = time.monotonic() - began
    _say(f"simulation: {tried} schedules in {took:.0f} s, {tried / took:.0f} a second")
    for finding in found:
        _say(f"\n{finding.error}\nfound in schedule {finding.runs}, shrunk to:\n")
        _show(finding.token)
    return 1 if found else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m simulation", description=__doc__)
    parser.add_argument("--seconds", type=float, default=300)
    parser.add_argument(
        "--runs", type=int, default=_NO_END, help="schedules of each worker at most"
    )
    parser.add_argument("--seed", type=int, default=time.time_ns() % 1_000_000)
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--replay", metavar="TOKEN", help="run the schedule that a finding printed")
    return parser.parse_args()


def _show(token: str) -> int:
    events, error = replay(token)
    for line in lines(events):
        _say(line)
    _say(f"\n{error or 'every promise was kept'}")
    _say(f"again: make simulate REPLAY={token}")
    return 1 if error else 0


def _say(text: str) -> None:
    print(text, flush=True)  # noqa: T201 - what it is run for


if __name__ == "__main__":
    sys.exit(main())
