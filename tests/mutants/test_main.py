"""The mutants as `make mutants` makes them, of a small module with a weak test."""

import json
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.paths import ROOT

pytestmark = pytest.mark.proofs  # a mutant that hangs takes its time

MODULE = """\
def last_digit(number: int) -> int:
    while number >= 10:
        number -= 10
    return number
"""
WEAK = """\
import pytest
from tally.amount import last_digit

@pytest.mark.parametrize(("number", "digit"), [(5, 5), (12, 2)])
def test_a_number_has_a_last_digit(number, digit):
    assert last_digit(number) == digit
"""
STRONG = WEAK.replace("(5, 5)", "(9, 9), (10, 0)")
# What the weak test does not kill.
ALIVE = {
    "while number >= 10:  ->  while number > 10:",
    "while number >= 10:  ->  while number >= 11:",
    "while number >= 10:  ->  while number >= 9:",
}


class Project:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        shutil.copytree(ROOT / "mutants", folder / "mutants")
        self.edit("mutants/forking.py", "GRACE: Final = 15", "GRACE: Final = 5")
        (folder / "mutants/survivors.toml").write_text("survivors = []\n")
        (folder / "mutants/scores.json").write_text("{}\n")
        for name in ("src/tally", "tests", "docs"):
            (folder / name).mkdir(parents=True)
        (folder / "src/tally/__init__.py").write_text("")
        (folder / "src/tally/amount.py").write_text(MODULE)
        self.test(WEAK)
        self.git("init", "--quiet", "--initial-branch=main")
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message=All")

    def edit(self, name: str, was: str, now: str) -> None:
        text = (self.folder / name).read_text()
        assert was in text
        (self.folder / name).write_text(text.replace(was, now))

    def add(self, name: str, text: str) -> None:
        path = self.folder / name
        path.parent.mkdir(parents=True)
        path.write_text(text)

    def test(self, text: str) -> None:
        (self.folder / "tests/test_amount.py").write_text(text)

    def git(self, *arguments: str) -> None:
        author = ("-c", "user.name=Tests", "-c", "user.email=tests@example.com")
        subprocess.run(["git", *author, *arguments], cwd=self.folder, check=True)

    def mutants(self, *arguments: str) -> tuple[int, list[str], str]:
        """Give the exit status, what no test kills, and the last line."""
        done = subprocess.run(
            [sys.executable, "-m", "mutants", *arguments],
            cwd=self.folder,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.stderr == ""
        lines = done.stdout.splitlines()
        alive = [it.split(": ", 1)[1] for it in lines if it.startswith("no test kills ")]
        return done.returncode, alive, lines[-1]


@pytest.fixture
def project(tmp_path) -> Project:
    return Project(tmp_path)


def test_a_weak_test_is_found_and_a_strong_one_kills_all(project) -> None:
    status, alive, _ = project.mutants("--all")
    assert (status, set(alive)) == (1, ALIVE)
    page = (project.folder / "docs/mutants.md").read_text()
    [row] = [line for line in page.splitlines() if line.startswith("| `amount.py`")]
    _, mutants, killed, timed_out, survived, score, _ = row.strip("| ").split(" | ")
    assert (mutants, survived, score) == ("8", "3", "62.5 %")
    assert int(killed) + int(timed_out) == 5
    assert int(timed_out) >= 1, "without `number -= 10` it never ends"
    project.test(STRONG)
    assert project.mutants("src/tally/amount.py")[:2] == (0, [])


def test_only_what_has_changed_is_tried(project) -> None:
    assert project.mutants()[:2] == (0, [])
    project.git("checkout", "--quiet", "-b", "work")
    module = project.folder / "src/tally/amount.py"
    module.write_text(MODULE.replace("return number", "return number + 0"))
    for commits in (False, True):
        if commits:
            project.git("commit", "--quiet", "--all", "--message=Change")
        status, alive, last = project.mutants()
        assert (status, alive) == (1, ["return number + 0  ->  return number - 0"])
        assert last.startswith("4 mutants: 3 killed, 1 survived")


def test_a_survivor_has_a_reason_and_a_reason_its_survivor(project) -> None:
    listed = project.folder / "mutants/survivors.toml"
    entry = "[[survivors]]\nfile = 'amount.py'\nreason = 'any'\nchanges = {}\n"
    listed.write_text(entry.format(sorted(ALIVE)))
    assert project.mutants("src/tally/amount.py")[:2] == (0, [])
    page = (project.folder / "docs/mutants.md").read_text()
    assert "`amount.py`: any\n\n```diff\n- while number >= 10:\n+ while number > 10:\n" in page
    listed.write_text(entry.format([*sorted(ALIVE), "gone  ->  pass"]))
    status, alive, _ = project.mutants("src/tally/amount.py")
    assert (status, alive) == (1, [])


def test_tests_that_fail_anyway_tell_nothing(project) -> None:
    project.test(WEAK.replace("(5, 5)", "(5, 6)"))
    assert project.mutants("src/tally/amount.py")[0] == 2


def test_who_stops_it_keeps_what_is_whole(project) -> None:
    project.add("src/tally/web/hosts.py", MODULE)
    project.add("tests/web/test_hosts.py", WEAK.replace("tally.amount", "tally.web.hosts"))
    project.add("tests/docs/test_security.py", "")  # which web is held to as well
    command = [sys.executable, "-m", "mutants", "--all", "--workers=1"]
    with subprocess.Popen(
        command, cwd=project.folder, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        next(line for line in process.stdout if ": survived: src/tally/web/" in line)
        kept = json.loads((project.folder / "mutants/scores.json").read_text())
        process.send_signal(signal.SIGINT)
        *_, last = process.stdout
    assert [*kept] == ["amount.py"]
    assert process.returncode == 2
    assert last == "stopped; tried whole and kept: amount.py\n"
