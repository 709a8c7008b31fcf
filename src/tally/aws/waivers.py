"""What is knowingly left out: the waiver file, which gives each case a reason and an end."""

import tomllib
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any


class InvalidWaivers(ValueError):
    """The waiver file breaks a rule; the message names the entry and the rule."""


@dataclass(frozen=True, slots=True)
class Waiver:
    """Why a requirement need not be met, who answers for that, and the last day it holds."""

    requirement: str
    reason: str
    owner: str
    expires: date


def read_waivers(path: Path) -> dict[str, Waiver]:
    """Read the tables `[check.<requirement>]` of a TOML file; raise `InvalidWaivers`.

    Tables beside `check` belong to other tools.
    """
    try:
        document = tomllib.loads(path.read_text())
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InvalidWaivers(f"{path}: {error}") from error
    entries = document.get("check", {})
    if not isinstance(entries, dict):
        raise InvalidWaivers(f"{path}: check must be a table of requirements")
    return {name: _waiver(path, name, entry) for name, entry in entries.items()}


def _waiver(path: Path, name: str, entry: Any) -> Waiver:  # noqa: ANN401 - whatever TOML holds
    place = f"{path}: check.{name}"
    fields = {"reason", "owner", "expires"}
    if not isinstance(entry, dict) or set(entry) != fields:
        raise InvalidWaivers(f"{place} must have reason, owner and expires, and nothing else")
    for field in ("reason", "owner"):
        if not isinstance(entry[field], str) or not entry[field].strip():
            raise InvalidWaivers(f"{place}.{field} must be a text")
    # A TOML date with a time is a datetime, which is a date to Python as well.
    if type(entry["expires"]) is not date:
        raise InvalidWaivers(f"{place}.expires must be a date such as 2027-01-31, without quotes")
    return Waiver(name, entry["reason"].strip(), entry["owner"].strip(), entry["expires"])
