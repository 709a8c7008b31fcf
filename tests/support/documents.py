"""What documents name: tests, as `tests/web/test_auth.py::test_without_it_nothing_changes`."""

import re
from functools import cache

from tests.support.paths import ROOT

_TEST = re.compile(r"`(tests/[\w/]+\.py(?:::\w+)+)`")


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
