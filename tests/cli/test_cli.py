"""The command as a whole: its help, and what it imports."""

import subprocess
import sys

import pytest

from tests.support.command import run

COMMANDS = ["up", "serve", "health", "migrate", "add", "export", "reset", "undo", "audit", "purge"]
COMMANDS += ["check"]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_with_an_example(command: str) -> None:
    shown = run(command, "--help").stdout
    assert "Example:\n" in shown
    assert f"tally {command}" in shown.partition("Example:")[2]


def test_help_lists_every_command() -> None:
    shown = run("--help").stdout
    assert all(f"\n  {command} " in shown for command in COMMANDS)


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
