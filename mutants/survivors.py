"""The mutants that no test has to kill, each with its reason: survivors.toml."""

import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

from mutants.mutant import Mutant

FILE: Final = Path(__file__).parent / "survivors.toml"

# A mutant's file and what it changes, by which it is known however lines move.
Name = tuple[str, str]


def reasons(file: Path = FILE) -> dict[Name, str]:
    """Read why each may survive."""
    known: dict[Name, str] = {}
    for group in tomllib.loads(file.read_text())["survivors"]:
        for change in group["changes"]:
            known[group["file"], change] = group["reason"]
    return known


def without_reason(survivors: Iterable[Mutant], known: Mapping[Name, str]) -> list[Mutant]:
    """Give those that a test has to kill."""
    return [it for it in survivors if it.name not in known]


def without_survivor(
    survivors: Iterable[Mutant], files: Iterable[str], known: Mapping[Name, str]
) -> list[Name]:
    """Give the reasons for mutants of these files that did not survive, or are no more."""
    survived = {it.name for it in survivors}
    return sorted(name for name in known if name[0] in {*files} and name not in survived)
