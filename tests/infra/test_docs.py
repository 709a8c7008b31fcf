"""The documents of the deployment, held to the files."""

import re
import tomllib

import pytest

from tests.infra.stand import INFRA, ROOT

DEPLOY = (ROOT / "docs/deploy.md").read_text()

# Blocks of commands that the emulator can't run, and what the test does instead.
NOT_RUN = {
    "images": "there is no registry behind the emulator: the images are told to it by its API",
    "release": "building takes a minute and has tests of its own: a small file stands in",
    "edit": "an editor wants a person: the example is used as it is",
    "bastion": "no machine boots in the emulator",
    "session": "no machine boots in the emulator",
}


def blocks() -> list[tuple[str, str]]:
    """Each block of commands: its mark, if it has one, and the commands."""
    return [
        (mark, commands)
        for mark, commands in re.findall(
            r"^```sh *(\w*)\n(.*?)^```$", DEPLOY, re.MULTILINE | re.DOTALL
        )
    ]


def test_every_block_that_is_not_run_has_its_reason() -> None:
    assert {mark for mark, _ in blocks() if mark} == set(NOT_RUN)


def test_every_file_of_the_requirements_exists() -> None:
    table = (ROOT / "docs/requirements.md").read_text()
    rows = [line.split("|") for line in table.splitlines() if line.startswith("| ")][1:]
    assert len(rows) > 40
    for row in rows:
        for file in re.findall(r"`([^`]+)`", row[3]):
            path = ROOT if file.startswith("deploy/") else INFRA
            assert (path / file).exists(), file


def test_every_row_of_the_requirements_is_a_row_of_the_check() -> None:
    check = pytest.importorskip("tally.aws.check", reason="tally check is not there")
    known = {requirement.id for requirement in check.requirements()}
    table = (ROOT / "docs/requirements.md").read_text()
    rows = [line.split("|") for line in table.splitlines() if line.startswith("| ")][2:]
    named = {row for line in rows for row in re.findall(r"`([^`]+)`", line[4])}
    assert named - known == set()


def test_the_costs_add_up() -> None:
    text = (ROOT / "docs/costs.md").read_text()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines()]
    amounts = [
        (float(row[2]), float(row[3]))
        for row in rows
        if len(row) == 4 and re.fullmatch(r"\d+\.\d\d", row[2])
    ]
    assert len(amounts) > 10
    together = re.search(r"\*\*together\*\* \| \| \*\*([\d.]+)\*\* \| \*\*([\d.]+)\*\*", text)
    assert together is not None
    small, production = (round(sum(column), 2) for column in zip(*amounts, strict=True))
    assert (small, production) == (float(together[1]), float(together[2]))


def test_waivers_are_readable() -> None:
    assert tomllib.loads((INFRA / "waivers.toml").read_text())
