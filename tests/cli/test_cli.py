"""The command as a whole: its help, and what it imports."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.command import run

COMMANDS = ["up", "serve", "health", "migrate", "add", "export", "reset", "undo", "audit", "purge"]
COMMANDS += ["check", "total", "entries", "resets", "watch"]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_with_an_example(command: str) -> None:
    shown = run(command, "--help").stdout
    assert "Example:\n" in shown
    assert f"tally {command}" in shown.partition("Example:")[2]


def test_help_lists_every_command_with_a_whole_sentence() -> None:
    _, _, shown = run("--help").stdout.partition("Commands:\n")
    listed = dict(re.findall(r"^  (\w+) +((?:.+\n)(?: {4,}.+\n)*)", shown, re.MULTILINE))
    assert {*COMMANDS} <= listed.keys()
    assert [
        text for text in listed.values() if not text.rstrip().endswith(".") or "..." in text
    ] == []


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_shells_complete_commands_and_options(shell: str) -> None:
    tally = Path(sys.executable).with_name("tally")

    def says(instruction: str, **given: str) -> str:
        given = {"_TALLY_COMPLETE": f"{shell}_{instruction}", **given}
        return subprocess.run(
            [tally], env=os.environ | given, capture_output=True, text=True, check=False
        ).stdout

    assert "_tally_completion" in says("source")
    for words, wanted in (("tally to", "total"), ("tally entries --li", "--limit")):
        last = words.split()[-1] if shell == "fish" else str(len(words.split()) - 1)
        assert wanted in says("complete", COMP_WORDS=words, COMP_CWORD=last)


@pytest.mark.parametrize("arguments", [["--help"], ["health", "adder"]])
def test_help_and_health_import_nothing_of_the_database(arguments: list[str]) -> None:
    """Both must be quick: a container's engine asks for its service's health all the time."""
    script = (
        "import sys\nfrom tally.cli import main\n"
        f"try: main({arguments})\n"
        "finally: print([name for name in sys.modules if name.startswith("
        "('asyncio', 'asyncpg', 'sqlalchemy', 'starlette', 'tally.ledger', 'tally.embedded'))])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.stdout.endswith("[]\n"), done
