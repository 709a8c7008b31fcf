"""`python -m rehearsal`: apply the deployment to an emulated AWS, stand it up here, and try it."""

import argparse
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType

from rehearsal import page, world, zone
from rehearsal.found import Found
from rehearsal.namespaces import Namespace
from rehearsal.network import Network
from rehearsal.packets import Prober
from rehearsal.reach import one_of_each, run
from rehearsal.standing import standing
from tests.support.containers import new_engine
from tests.support.deployment import Deployment
from tests.support.images import build

NAME = "tally"
# Programs, and Debian's packages that have them.
PROGRAMS = {"ip": "iproute2", "nft": "nftables"}
STANDING = {
    "buildah": "buildah",
    "debootstrap": "debootstrap",
    "haproxy": "haproxy",
    "podman": "podman",
    "postgres": "postgresql",
    "runc": "runc",
}


def main() -> int:
    """Return 0 if all agreed, 1 if not, 2 if it was stopped."""
    arguments = _arguments()
    whole = arguments.stay or arguments.scenario
    if missing := what_is_missing(PROGRAMS | (STANDING if whole else {})):
        sys.exit(f"rehearsal: {missing}")
    world.enter()
    # The ending is that of Ctrl-C; what stands ends with the process, in any case.
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        with _deployment():
            return _stand(arguments) if whole else _rehearse(arguments)
    except KeyboardInterrupt:
        _say("stopped before the end")
        return 2


def _rehearse(arguments: argparse.Namespace) -> int:
    _say("the network stands up")
    found = Found(NAME)
    with closing(Network(found)) as network, closing(Prober(network)) as prober:
        result = run(found, network, prober, one_of_each(found), _say)
    at = datetime.now(UTC)
    arguments.out.mkdir(parents=True, exist_ok=True)
    (arguments.out / "rehearsal.html").write_text(page.as_html(result, at))
    document = arguments.report or arguments.out / "rehearsal.md"
    document.write_text(page.as_markdown(result, at))
    _say(f"{arguments.out / 'rehearsal.html'}, {document}")
    _say(page.verdict(result))
    return 0 if result.good else 1


def _stand(arguments: argparse.Namespace) -> int:
    """Stand everything up; lose a zone of it, or stay until Ctrl-C."""
    with new_engine() as engine:
        _say("the release's images are built")
        images = build(engine)
        with standing(Found(NAME), engine, images, _say) as it:
            if arguments.scenario:
                result = zone.run(it, it.database.primary.zone, _say)
                _say(str(result))
                return 0 if result.good else 1
            _say(f"{it.url} answers; a browser asks whether to trust it; Ctrl-C ends it")
            while True:
                signal.pause()


@contextmanager
def _deployment() -> Iterator[None]:
    """An emulated AWS with the production profile; the one that AWS_ENDPOINT_URL names, if any."""
    endpoint = os.environ.get("AWS_ENDPOINT_URL")
    if endpoint is not None:
        if not endpoint.startswith("http://127.0.0.1:"):
            sys.exit("rehearsal: AWS_ENDPOINT_URL must be an emulator on 127.0.0.1: unset it")
        yield
        return
    with tempfile.TemporaryDirectory(prefix="tally-rehearsal-") as folder:
        deployment = Deployment.start(NAME, "production", Path(folder) / "deployment")
        try:
            _say("Terraform applies the deployment to an emulated AWS: some four minutes")
            deployment.apply()
            os.environ.update(deployment.emulator.environment)
            yield
        finally:
            deployment.stop()


def what_is_missing(programs: Mapping[str, str]) -> str | None:
    """What this machine lacks, and how to get it; programs come with Debian's packages."""
    if not sys.platform.startswith("linux"):
        return "this needs Linux, for its network namespaces"
    if os.geteuid() != 0:
        return "only root makes networks: run it as root"
    try:
        Namespace().close()
    except PermissionError as error:
        return f"no network of its own ({error}): run the container with --privileged"
    servers = map(str, Path("/usr/lib/postgresql").glob("*/bin"))
    path = os.pathsep.join([os.environ["PATH"], "/usr/sbin", *servers])
    missing = [name for name in programs if shutil.which(name, path=path) is None]
    if missing:
        packages = " ".join(programs[it] for it in missing)
        return f"{', '.join(missing)} not installed: apt install {packages}"
    if "AWS_ENDPOINT_URL" not in os.environ and shutil.which("terraform") is None:
        return "terraform is not on the path: install Terraform 1.11 or newer"
    return None


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m rehearsal", description=__doc__)
    parser.add_argument(
        "--out", type=Path, default=Path(".cache/rehearsal"), help="where the page is written"
    )
    parser.add_argument("--scenario", choices=["zone"], help="stand everything up, and lose a zone")
    parser.add_argument("--stay", action="store_true", help="stand everything up, and stay")
    parser.add_argument("--report", type=Path, help="the document (rehearsal.md in --out)")
    return parser.parse_args()


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _say(text: str) -> None:
    print(f"rehearsal: {text}", file=sys.stderr, flush=True)  # noqa: T201


if __name__ == "__main__":
    sys.exit(main())
