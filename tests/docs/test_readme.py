"""The README's examples, run as they stand."""

import re
import subprocess
from collections.abc import Callable
from dataclasses import fields

import pytest

from tally.settings import Settings
from tests.support.documents import examples
from tests.support.paths import ROOT

README = (ROOT / "README.md").read_text()

# What differs from run to run, and what the README shows for it.
MOMENT = (re.compile(r"\d{4}-\d\d-\d\dT[\d:.]+Z"), "2026-11-24T12:00:00.000000Z")
REQUEST_ID = (re.compile(r'"request_id":"[0-9a-f]{32}"'), f'"request_id":"{"0" * 32}"')


def test_every_example_prints_what_the_readme_shows(tally_up: Callable) -> None:
    server = tally_up()
    shown = list(examples(README))
    assert len(shown) >= 8
    for command, output in shown:
        printed = subprocess.run(
            ["sh", "-c", command.replace("http://127.0.0.1:8080", server.url)],
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        for pattern, replacement in (MOMENT, REQUEST_ID):
            printed = pattern.sub(replacement, printed)
        assert printed.rstrip("\n") == output.rstrip("\n"), command
    server.stop()


def test_every_command_for_aws_is_one_of_the_guide() -> None:
    """A test follows the guide; here stands a part of it."""
    [commands] = re.findall(r"```sh\n(.*?)```", README.partition("## On AWS\n")[2], re.DOTALL)
    guide = (ROOT / "docs/deploy.md").read_text().splitlines()
    assert set(commands.splitlines()) <= set(guide)


def test_the_costs_are_those_of_the_table() -> None:
    costs = re.findall(r"about \$(\d+) a month|about \$(\d+);", README)
    together = re.search(r"\*\*together.*", (ROOT / "docs/costs.md").read_text())
    assert together is not None
    totals = re.findall(r"\d+\.\d+", together[0])
    assert [sum(map(int, filter(None, cost))) for cost in costs] == [
        round(float(total)) for total in totals
    ]


@pytest.mark.parametrize("field", fields(Settings), ids=lambda field: field.name)
def test_configuration_table_gives_each_default(field) -> None:
    default = f"`{field.default}`" if field.default not in (None, ()) else ""
    cells = f"| `TALLY_{field.name.upper()}` | {default} |".replace("|  |", "| |")
    assert cells in README


def test_every_make_target_of_the_readme_exists() -> None:
    makefile = (ROOT / "Makefile").read_text()
    targets = re.findall(r"(?:^|`|=\d+ )make ([a-z]+)", README, re.MULTILINE)
    assert {"run", "test", "help"} <= set(targets)
    for target in targets:
        assert f"\n{target}:" in makefile
