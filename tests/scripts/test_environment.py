"""`scripts/environment`: a .venv that can't be used is removed, and any other stays."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.paths import ROOT

pytestmark = pytest.mark.core


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clone with a .venv as make makes it, of the parts that are looked at."""
    clone: Path = tmp_path_factory.mktemp("made") / "clone"
    (clone / "scripts").mkdir(parents=True)
    shutil.copy(ROOT / "scripts/environment", clone / "scripts")
    (clone / "src/tally").mkdir(parents=True)
    (clone / "src/tally/__init__.py").touch()
    subprocess.run([sys.executable, "-m", "venv", clone / ".venv"], check=True)
    point_to(clone)
    return clone


def point_to(clone: Path) -> None:
    """What `pip install --editable` leaves."""
    [packages] = clone.glob(".venv/lib/python*/site-packages")
    (packages / "tally.pth").write_text(f"{clone}/src")


@pytest.fixture
def clone(made: Path, tmp_path: Path) -> Path:
    shutil.copytree(made, tmp_path / "clone", symlinks=True)
    point_to(tmp_path / "clone")
    return tmp_path / "clone"


def stays(clone: Path) -> bool:
    done = subprocess.run(
        [clone / "scripts/environment"], check=True, capture_output=True, text=True
    )
    assert done.stdout == ""
    is_there = os.path.lexists(clone / ".venv")
    assert ("Removing .venv" in done.stderr) != is_there or done.stderr == ""
    return is_there


def test_a_whole_one_stays(clone: Path) -> None:
    assert stays(clone)


def test_none_is_none(clone: Path) -> None:
    shutil.rmtree(clone / ".venv")
    assert not stays(clone)


@pytest.mark.parametrize(
    "maker", ["", "2147483647", str(os.getpid())], ids=["none", "gone", "other"]
)
def test_one_whose_making_was_interrupted_goes(clone: Path, maker: str) -> None:
    """By the number of a process that is none, or is another's by now."""
    (clone / ".venv/installing").write_text(f"{maker}\n")
    assert not stays(clone)


def test_one_without_pip_goes(clone: Path) -> None:
    [pip] = clone.glob(".venv/lib/python*/site-packages/pip")
    shutil.rmtree(pip)
    assert not stays(clone)


def test_one_whose_python_is_gone_goes(clone: Path) -> None:
    (clone / ".venv/bin/python").unlink()
    (clone / ".venv/bin/python").symlink_to("/nowhere/python3")
    assert not stays(clone)


def test_one_of_a_renamed_clone_goes(clone: Path) -> None:
    assert not stays(clone.rename(clone.with_name("renamed")))


def test_one_of_a_copied_clone_goes(clone: Path) -> None:
    copy = clone.with_name("copy")
    shutil.copytree(clone, copy, symlinks=True)
    assert not stays(copy)
    assert stays(clone)


def test_a_link_stays(clone: Path) -> None:
    (clone / ".venv").rename(clone.with_name("elsewhere"))
    (clone / ".venv").symlink_to("/nowhere")
    assert stays(clone)


def test_one_that_is_being_made_is_waited_for(clone: Path) -> None:
    (clone / "Makefile").write_text("all:\n\t@echo begun; read line; rm .venv/installing\n")
    making = subprocess.Popen(
        ["make", "--silent"], cwd=clone, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert making.stdout is not None
    assert making.stdout.readline() == "begun\n"
    (clone / ".venv/installing").write_text(f"{making.pid}\n")
    waiting = subprocess.Popen([clone / "scripts/environment"], stderr=subprocess.PIPE, text=True)
    assert waiting.stderr is not None
    assert waiting.stderr.readline().startswith(f"Waiting for process {making.pid},")
    making.communicate("\n", timeout=60)
    waiting.communicate(timeout=60)
    assert waiting.returncode == 0
    assert (clone / ".venv").is_dir()
