"""What documents name and show: tests, as `tests/web/test_auth.py::test_it`, and commands."""

import re
from collections.abc import Iterator
from functools import cache

from tests.support.paths import ROOT

_TEST = re.compile(r"`(tests/[\w/]+\.py(?:::\w+)+)`")


def examples(text: str) -> Iterator[tuple[str, str]]:
    """Each command that a document shows, and what it prints."""
    for block in re.findall(r"```console\n(.*?)```", text, re.DOTALL):
        for example in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, _, output = example.partition("\n")
            yield command, output


def named_tests(text: str) -> list[str]:
    return _TEST.findall(text)


def exists(test: str) -> bool:
    path, *names = test.split("::")
    kinds = ("def", "async def", "class")
    return all(any(f"{kind} {name}" in _definitions(path) for kind in kinds) for name in names)


@cache
def _definitions(path: str) -> frozenset[str]:
    file = ROOT / path
    if not file.exists():
        return frozenset()
    lines = re.findall(r"^ *((?:async )?def|class) (\w+)", file.read_text(), re.MULTILINE)
    return frozenset(f"{kind} {name}" for kind, name in lines)
