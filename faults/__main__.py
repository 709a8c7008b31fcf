"""`python -m faults`: inject faults for a while, then check the history."""

import argparse
import asyncio
import platform
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

import tally
from faults import checkers, report
from faults.cluster import NoCluster, programs
from faults.cluster_system import ClusterSystem
from faults.faults import FULL_DISK
from faults.generator import draw
from faults.history import History
from faults.misbehaving import raise_descriptor_limit
from faults.recorder import Recorder
from faults.runner import Runner
from faults.service import NotReady
from faults.system import System
from faults.systems import CLUSTER, SERVER, SYSTEMS
from faults.volume import NoVolume, Volume
from tally.embedded.postgres import EmbeddedError


def main() -> int:
    """Run; return 0 if the checkers found nothing, 1 if they did, 2 if the run came to no end."""
    arguments = _arguments()
    if not sys.platform.startswith("linux"):
        sys.exit("faults: this needs Linux, whose /proc tells what a process holds")
    raise_descriptor_limit()
    document: Path = arguments.report or arguments.out / "faults.md"
    names, left_out = _systems(arguments.system)
    runs = []
    try:
        for name in names:
            out = arguments.out / name
            out.mkdir(parents=True, exist_ok=True)
            history = History()
            run = _run(name, arguments.seed, arguments.seconds / len(names), out, history)
            postgres_version = asyncio.run(run)
            history.write(out / "history.jsonl")
            runs.append(report.Run(name, postgres_version, history, checkers.check(history)))
    except asyncio.CancelledError:
        _say("faults: stopped before the end")
        return 2
    except (EmbeddedError, NotReady, NoCluster, NoVolume) as error:
        _say(f"faults: {error}")
        return 2
    versions = {
        "Tally": tally.__version__,
        "Python": platform.python_version(),
        "Linux": platform.release(),
    }
    report.write(
        document,
        seed=arguments.seed,
        seconds=arguments.seconds,
        versions=versions,
        runs=runs,
        left_out=left_out,
    )
    _say(f"report: {document}")
    findings = [finding for run in runs for verdict in run.verdicts for finding in verdict.findings]
    for finding in findings:
        print(finding)  # noqa: T201 - what it is run for
    return 1 if findings else 0


def _systems(wanted: str | None) -> tuple[list[str], str]:
    """Choose the systems to run, and say what was left out; raises SystemExit."""
    try:
        programs()
    except NoCluster as reason:
        if wanted == CLUSTER:
            sys.exit(f"faults: {reason}")
        if wanted is None:
            _say(f"left out: the cluster ({reason})")
            return [SERVER], f"the cluster ({reason})"
    return ([wanted] if wanted else [SERVER, CLUSTER]), ""


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m faults", description=__doc__)
    parser.add_argument(
        "--seconds", type=float, default=600, help="about how long; every fault comes once anyway"
    )
    parser.add_argument(
        "--system",
        choices=[SERVER, CLUSTER],
        help="one of the systems; else both, for half the time",
    )
    parser.add_argument("--seed", type=int, default=time.time_ns() % 1_000_000)
    parser.add_argument(
        "--out", type=Path, default=Path(".cache/faults"), help="where history and logs are kept"
    )
    parser.add_argument(
        "--report", type=Path, help="the report (faults.md in --out); its pictures: pictures/*.svg"
    )
    return parser.parse_args()


async def _run(name: str, seed: int, seconds: float, out: Path, history: History) -> str:
    """Run a system; return PostgreSQL's version."""
    _end_by_signal()
    recorder = Recorder(history)
    described = SYSTEMS[name]
    on_a_server = name == SERVER
    with _folder() as folder, _volume(folder) if on_a_server else nullcontext() as volume:
        faults = [fault for fault in described.faults if volume or fault != FULL_DISK]
        plan = draw(seed, seconds, described.slot_seconds, faults)
        system = (
            System(volume.folder if volume else folder / "data", out, _say, recorder)
            if on_a_server
            else ClusterSystem(folder, out, recorder)
        )
        _say(f"{name}, seed {seed}: {len(plan)} faults in about {seconds:.0f} s")
        for planned in plan:
            _say(f"  {planned.calm} s, then {planned}")
        return await Runner(system, recorder, volume, seed, _say).run(plan)


def _end_by_signal() -> None:
    """Let Ctrl-C and SIGTERM end the run once; whatever was started is then ended first."""
    run = asyncio.current_task()

    def end() -> None:
        # A second signal must not interrupt the ending of processes, which is bounded.
        if run is not None and not run.cancelling():
            run.cancel()

    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, end)


@contextmanager
def _folder() -> Iterator[Path]:
    """A folder that PostgreSQL's own user can reach, for as long as the run."""
    folder = Path(tempfile.mkdtemp(prefix="tally-faults-"))
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


@contextmanager
def _volume(folder: Path) -> Iterator[Volume | None]:
    volume = Volume(folder)
    try:
        volume.mount()
    except NoVolume as reason:
        _say(f"left out: {FULL_DISK} ({reason})")
        yield None
        return
    try:
        yield volume
    finally:
        volume.unmount()


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)  # noqa: T201


if __name__ == "__main__":
    sys.exit(main())
