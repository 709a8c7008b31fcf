"""The programs on this machine that a deployment by hand takes."""

import re
import sys
from typing import Final

from tally.aws.preflight.finding import Situation, Subject, Unanswered

subject = Subject()

_VERSION: Final = re.compile(r"(\d+)\.(\d+)")
# How each says its version, the oldest that will do, and what goes without it.
PROGRAMS: Final = {
    ("terraform", "version"): ((1, 11), ""),
    ("aws", "--version"): ((1, 40), ""),
    ("git", "--version"): ((2, 0), ""),
    ("make", "--version"): ((3, 0), ""),
    ("gh", "--version"): ((2, 0), "GitHub's workflows"),
    ("buildah", "--version"): ((1, 0), "building images by hand"),
}


@subject.asks(
    "tools",
    "Are the programs here, and new enough?",
    "Install what is missing, and newer ones of what is too old. Without gh and buildah, use"
    " GitHub's pages, and let its workflows build.",
)
def _programs(situation: Situation) -> tuple[bool, str]:
    said, good = [f"python {sys.version_info.major}.{sys.version_info.minor}"], True
    for command, (oldest, only_for) in PROGRAMS.items():
        name = command[0]
        try:
            found = _VERSION.search(situation.run(command))
        except Unanswered:
            found = None
        if found is None:
            good = good and bool(only_for)
            said.append(f"{name} is missing" + (f", for {only_for}" if only_for else ""))
            continue
        new_enough = (int(found[1]), int(found[2])) >= oldest
        good = good and new_enough
        least = "" if new_enough else f", older than {oldest[0]}.{oldest[1]}"
        said.append(f"{name} {found[0]}{least}")
    return good, ", ".join(said)
