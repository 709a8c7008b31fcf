"""Which lines were changed: since the branch left main, committed or not."""

import re
import subprocess
from pathlib import Path
from typing import Final

_FILE: Final = re.compile(r"\+\+\+ b/(.+)")
_HUNK: Final = re.compile(r"@@ -\S+ \+(\d+)(?:,(\d+))? @@")
_MAIN: Final = ("refs/heads/main", "refs/remotes/origin/main")


class NoGit(Exception):
    """What has changed can't be told."""


def changed_lines(root: Path) -> dict[Path, set[int]]:
    """Give the numbers of the new lines of each file; raise `NoGit`."""
    found: dict[Path, set[int]] = {}
    for line in _git(root, "diff", "--unified=0", "--no-color", _base(root)).splitlines():
        if file := _FILE.fullmatch(line):
            lines = found.setdefault(root / file[1], set())
        elif hunk := _HUNK.match(line):
            first, number = int(hunk[1]), int(hunk[2] or 1)
            lines.update(range(first, first + number))
    for name in _git(root, "ls-files", "--others", "--exclude-standard").splitlines():
        found[root / name] = set(range(1, (root / name).read_bytes().count(b"\n") + 2))
    return found


def _base(root: Path) -> str:
    """Find where the branch left main; on main itself that is its last commit."""
    names = _git(root, "for-each-ref", "--format=%(refname)").split()
    main = next((it for it in _MAIN if it in names), "HEAD")
    return _git(root, "merge-base", "HEAD", main).strip()


def _git(root: Path, *arguments: str) -> str:
    try:
        return subprocess.run(
            ["git", *arguments], cwd=root, capture_output=True, check=True, text=True
        ).stdout
    except (OSError, subprocess.CalledProcessError) as error:
        said = getattr(error, "stderr", "") or str(error)
        raise NoGit(said.strip()) from error
