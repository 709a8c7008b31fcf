"""The images as they are shipped, built without a registry.

They come from buildah, on a stand-in for their base that the distribution's packages make.
"""

import fcntl
import hashlib
import shutil
import sys
from pathlib import Path

import pip

from tests.support import debian
from tests.support.containers import BASE, CONTAINERS, REVISION, ROOT, SERVICES, Engine, command

CACHE = ROOT / ".cache" / "containers"


def build(engine: Engine) -> dict[str, str]:
    """Build every image; give their names by their services."""
    _import_base(engine)
    wheels = _wheels()
    settings = engine.folder / "pip.conf"
    settings.write_text("[global]\nno-index = true\nfind-links = /wheels\n")
    tags = {service: f"localhost/tally-{service}:test" for service in SERVICES}
    for service, tag in tags.items():
        command(
            *("buildah", *engine.place, "build"),
            *("--isolation=chroot", "--layers", "--format=docker"),
            f"--build-arg=BASE={BASE}",
            f"--build-arg=REVISION={REVISION}",
            "--build-arg=SOURCE=https://example.org/tally",
            "--build-arg=VERSION=0.1.0",
            f"--secret=id=pip,src={settings}",
            f"--volume={wheels}:/wheels:ro",
            f"--target={service}",
            f"--tag={tag}",
            f"--file={CONTAINERS / 'Containerfile'}",
            ROOT,
        )
    return tags


def _import_base(engine: Engine) -> None:
    """Make the stand-in for the images' base: the same Debian and Python, laid out alike."""
    root = debian.root(("ca-certificates", "netbase", "python3", "tzdata"))
    archive = engine.folder / "base.tar"
    # As in the official image: nothing compiled, no caches, pip where Python looks for additions.
    left_out = ("__pycache__", "./var/cache/apt/*", "./var/lib/apt/lists/*", "./var/log/*")
    exclude = [f"--exclude={pattern}" for pattern in left_out]
    command("tar", "--create", f"--file={archive}", f"--directory={root}", *exclude, ".")
    command(
        *("tar", "--append", f"--file={archive}", *exclude),
        *("--owner=0", "--group=0", "--transform=s,^,./usr/local/lib/python3.11/dist-packages/,"),
        *(f"--directory={Path(pip.__file__).parents[1]}", "pip"),
    )
    engine.podman("import", "--quiet", archive, BASE)
    archive.unlink()


def _wheels() -> Path:
    """The packages that the build installs, from wherever this machine's pip takes them."""
    requirements = [ROOT / "requirements" / f"{name}.txt" for name in ("build", "services")]
    contents = b"\0".join(file.read_bytes() for file in requirements)
    folder = CACHE / f"wheels-{hashlib.sha256(contents).hexdigest()[:16]}"
    CACHE.mkdir(parents=True, exist_ok=True)
    with folder.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # tests of two tiers may ask at the same time
        if not folder.exists():
            part = folder.with_suffix(".part")
            shutil.rmtree(part, ignore_errors=True)
            for file in requirements:
                command(
                    *(sys.executable, "-m", "pip", "download", "--quiet", "--require-hashes"),
                    *("--only-binary=:all:", f"--dest={part}", f"--requirement={file}"),
                )
            part.rename(folder)
    return folder
