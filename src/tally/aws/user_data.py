"""User data, read as the machine reads it: what must not be in it, and the files it writes."""

import re
import textwrap
from typing import Final

from tally.aws.requirement import Verdict

# What would be a secret in plain sight: a password with a value, a private key, an AWS key.
SECRET: Final = re.compile(
    r"(?i)(?:password|passwd|secret_access_key|token)[\"']?\s*[=:]\s*[\"']?[^\s\"'$({/][^\s\"']{5,}"
    r"|-----BEGIN [A-Z ]*PRIVATE KEY|\bAKIA[0-9A-Z]{16}\b|://[^/\s:@]+:[^/\s:@$]+@"
)


def no_secret(text: str) -> Verdict:
    """Whether nothing in a text looks like a secret."""
    found = SECRET.search(text)
    # Where, and not what: a report must not repeat a secret.
    where = f"line {text[: found.start()].count(chr(10)) + 1} looks like one" if found else "none"
    return found is None, f"secrets: {where}"


def written(text: str, path: str) -> str:
    """Return the file that user data writes there, or nothing."""
    entry = rf"^  - path: {re.escape(path)}\n(?:    permissions: .*\n)?    content: \|\n"
    found = re.search(rf"{entry}((?:      .*\n|\n)*)", text, re.MULTILINE)
    return textwrap.dedent(found[1]).rstrip("\n") + "\n" if found else ""


def directives(unit: str) -> dict[str, list[str]]:
    """Return what a unit of systemd is told, by name and in order.

    Some values add up, of others the last counts; an empty one forgets what stands before it.
    """
    told: dict[str, list[str]] = {}
    for line in unit.splitlines():
        name, given, value = line.partition("=")
        if given and not line.startswith(("#", ";")):
            told[name] = [*(told.get(name, []) if value else []), value]
    return told
