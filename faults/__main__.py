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
from contextlib import contextmanager
from pathlib import Path

import tally
from faults import checkers, report
from faults.faults import FULL_DISK
from faults.generator import draw
from faults.history import History
from faults.misbehaving import raise_descriptor_limit
from faults.recorder import Recorder
from faults.runner import Runner
from faults.service import NotReady
from faults.system import System
from faults.volume import NoVolume, Volume
from tally.embedded.postgres import EmbeddedError


def main() -> int:
    """Run; return 0 if the checkers found nothing, 1 if they did, 2 if the run came to no end."""
    arguments = _arguments()
    if not sys.platform.startswith("linux"):
        sys.exit("faults: this needs Linux, whose /proc tells what a process holds")
    raise_descriptor_limit()
    out: Path = arguments.out
    out.mkdir(parents=True, exist_ok=True)
    document: Path = arguments.report or out / "faults.md"
    picture = document.parent / "pictures" / f"{document.stem}.svg"
    picture.parent.mkdir(parents=True, exist_ok=True)
    history = History()
    try:
        postgres_version = asyncio.run(_run(arguments.seed, arguments.seconds, out, history))
    except asyncio.CancelledError:
        _say("faults: stopped before the end")
        return 2
    except (EmbeddedError, NotReady, NoVolume) as error:
        _say(f"faults: {error}")
        return 2
    history.write(out / "history.jsonl")
    verdicts = checkers.check(history)
    report.write(
        document,
        picture,
        seed=arguments.seed,
        seconds=arguments.seconds,
        versions={
            "Tally": tally.__version__,
            "PostgreSQL": postgres_version,
            "Python": platform.python_version(),
            "Linux": platform.release(),
        },
        history=history,
        verdicts=verdicts,
    )
    _say(f"report: {document}")
    findings = [finding for verdict in verdicts for finding in verdict.findings]
    for finding in findings:
        print(finding)  # noqa: T201 - what it is run for
    return 1 if findings else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m faults", description=__doc__)
    parser.add_argument(
        "--seconds", type=float, default=600, help="about how long; every fault comes once anyway"
    )
    parser.add_argument("--seed", type=int, default=time.time_ns() % 1_000_000)
    parser.add_argument(
        "--out", type=Path, default=Path(".cache/faults"), help="where history and logs are kept"
    )
    parser.add_argument(
        "--report", type=Path, help="the report (faults.md in --out); its picture: pictures/*.svg"
    )
    return parser.parse_args()


async def _run(seed: int, seconds: float, out: Path, history: History) -> str:
    _end_by_signal()
    with _folder() as folder, _volume(folder) as volume:
        plan = draw(seed, seconds, frozenset() if volume else frozenset({FULL_DISK}))
        _say(f"seed {seed}: {len(plan)} faults in about {seconds:.0f} s")
        for planned in plan:
            _say(f"  {planned.calm} s, then {planned}")
        recorder = Recorder(history)
        data = volume.folder if volume else folder / "data"
        system = System(data, out, _say, recorder)
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
