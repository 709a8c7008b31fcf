"""A booted Debian that stands for a machine: systemd, cloud-init, and nothing of ours."""

import contextlib
import json
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.support import debian
from tests.support.guests import cloud as clouds
from tests.support.guests.cloud import Cloud
from tests.support.programs import need

STAND_INS = Path(__file__).with_name("stand-ins")
_ENVIRONMENT = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME": "/root",
    "LC_ALL": "C.UTF-8",
}


def _no_change(root: Path) -> None: ...


@dataclass(frozen=True)
class Image:
    """What a machine is before its user data; `name` is its folder in deploy/."""

    name: str
    # Debian's packages, and those that only Amazon's distribution has, by folder in stand-ins/.
    packages: tuple[str, ...]
    stand_ins: tuple[str, ...]
    # cloud-init's.
    settings: dict[str, object]
    change: Callable[[Path], None] = _no_change


@dataclass(frozen=True)
class Guest:
    """A running guest; `root` is its file system seen from outside, `leader` its first process."""

    root: Path
    leader: int
    address: str

    def run(self, *command: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a command in the guest, as root."""
        done = subprocess.run(
            [
                *("nsenter", f"--target={self.leader}", "--mount", "--uts", "--ipc", "--net"),
                *("--pid", "--", *command),
            ],
            env=_ENVIRONMENT,
            capture_output=True,
            text=True,
            check=False,
        )
        assert not check or done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
        return done

    def output(self, *command: str) -> str:
        return self.run(*command).stdout.strip()

    def log(self) -> str:
        return (self.root / "var/log/tally/adder.log").read_text()


@contextlib.contextmanager
def guest(
    cloud: Cloud, image: Image, user_data: bytes, public_key: str | None = None
) -> Iterator[Guest]:
    """Boot a guest with this user data and wait until cloud-init has done all of it."""
    need("systemd-nspawn")
    lower = debian.root(image.packages)
    place = cloud.network.guests[image.name]
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tally-guest-")))
        root = folder / "root"
        for name in ("upper", "work", "root"):
            (folder / name).mkdir()
        layers = f"lowerdir={lower},upperdir={folder / 'upper'},workdir={folder / 'work'}"
        subprocess.run(["mount", "-t", "overlay", "overlay", "-o", layers, root], check=True)
        stack.callback(subprocess.run, ["umount", root], check=True)
        _furnish(root, cloud, image)
        _seed(root, user_data, public_key)
        group = stack.enter_context(_control_group(folder.name))
        console = folder / "console.log"
        with console.open("w") as output:
            boot = subprocess.Popen(
                [
                    *("bash", "-c", 'echo $$ >"$0/cgroup.procs" && exec "$@"', group),
                    *("systemd-nspawn", "--quiet", "--register=no", "--keep-unit", "--boot"),
                    *(f"--directory={root}", f"--machine={image.name}", "--console=pipe"),
                    f"--network-namespace-path=/run/netns/{place.namespace}",
                    # Not there by default, but on a machine: filters on a unit's addresses.
                    "--system-call-filter=bpf",
                    # What its own network takes, with which a machine forwards.
                    "--capability=CAP_NET_ADMIN",
                ],
                # What a machine has, whatever this one has.
                env={
                    **os.environ,
                    "SYSTEMD_NSPAWN_API_VFS_WRITABLE": "network",
                    "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1",
                },
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )
        stack.callback(_shut_down, boot)
        started = Guest(root, _leader(boot, console), place.address)
        # With its own status when something failed, which is for the tests to judge.
        started.run("cloud-init", "status", "--wait", check=False)
        yield started


@contextlib.contextmanager
def _control_group(name: str) -> Iterator[Path]:
    """Make a control group for a guest's processes; two guests in one would end each other's."""
    mounts = [line.split() for line in Path("/proc/mounts").read_text().splitlines()]
    group = next(Path(place) for _, place, kind, *_ in mounts if kind == "cgroup2") / name
    group.mkdir()
    yield group
    for folder, _, _ in os.walk(group, topdown=False):
        Path(folder).rmdir()


def _furnish(root: Path, cloud: Cloud, image: Image) -> None:
    """Add what an AMI and AWS's network bring; the machine itself is made by its user data."""
    hosts = f"127.0.0.1 localhost\n{cloud.network.cloud_address} {' '.join(clouds.NAMES)}\n"
    (root / "etc/hosts").write_text(hosts)
    with (root / "etc/ssl/certs/ca-certificates.crt").open("a") as trusted:
        trusted.write(cloud.authority.read_text())
    (root / "etc/apt/sources.list").touch()
    (root / "etc/machine-id").write_text("")
    # Amazon Linux has none. What another unit does already, systemd would start by them as well.
    shutil.rmtree(root / "etc/init.d")
    settings = {
        "datasource_list": ["NoCloud"],
        "network": {"config": "disabled"},
        # There is no package of locales to be set up.
        "locale": False,
        **image.settings,
    }
    (root / "etc/cloud/cloud.cfg.d/90-guest.cfg").write_text(json.dumps(settings))
    for name in image.stand_ins:
        package = root / f"var/tmp/{name}.deb"
        build = ["dpkg-deb", "--root-owner-group", "--build", STAND_INS / name, package]
        subprocess.run(build, check=True, stdout=subprocess.DEVNULL)
        install = ["chroot", root, "dpkg", "--install", f"/var/tmp/{name}.deb"]
        subprocess.run(install, check=True, stdout=subprocess.DEVNULL)
    image.change(root)


def _seed(root: Path, user_data: bytes, public_key: str | None) -> None:
    """Put what the metadata service tells a new machine where cloud-init takes it without one."""
    seed = root / "var/lib/cloud/seed/nocloud-net"
    seed.mkdir(parents=True)
    told = {"instance-id": "i-0123456789abcdef0"}
    if public_key is not None:
        told["public-keys"] = public_key
    (seed / "meta-data").write_text(json.dumps(told))
    (seed / "user-data").write_bytes(user_data)


def _leader(boot: subprocess.Popen[bytes], console: Path) -> int:
    """Find the guest's first process among the children of systemd-nspawn."""
    found = 0

    def look() -> bool:
        nonlocal found
        assert boot.poll() is None, f"systemd-nspawn ended: {console.read_text()}"
        for child in Path(f"/proc/{boot.pid}/task/{boot.pid}/children").read_text().split():
            status = Path(f"/proc/{child}/status").read_text()
            if status.split("NSpid:")[1].split("\n")[0].split()[-1] == "1":
                found = int(child)
                return (Path(f"/proc/{child}/root/run/systemd/private")).exists()
        return False

    wait(look)
    return found


def wait(condition: Callable[[], bool], seconds: float = 60) -> None:
    """Wait for a guest: by default as long as a start may take on a busy machine."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not after {seconds} s"
        time.sleep(0.1)


def _shut_down(boot: subprocess.Popen[bytes]) -> None:
    # systemd-nspawn hands it on as the guest's own signal for powering off.
    boot.terminate()
    try:
        boot.wait(timeout=60)
    except subprocess.TimeoutExpired:
        boot.kill()
        boot.wait()
        raise
