"""What all tests share; nothing here imports what only some of them need."""

import signal
from pathlib import Path

import pytest

from tests.support.tiers import TIERS, modules, tier_of

pytest_plugins = (
    "tests.support.processes",  # before those that import it
    "tests.support.browser",
    "tests.support.clock",
    "tests.support.deployment_fixtures",
    "tests.support.http",
    "tests.support.left_out",
    "tests.support.postgres",
)


# Where tests are run in a script's background, or by nohup, what they start would ignore these too.
for number, handler in (
    (signal.SIGINT, signal.default_int_handler),
    (signal.SIGHUP, signal.SIG_DFL),
):
    if signal.getsignal(number) is signal.SIG_IGN:
        signal.signal(number, handler)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--tier", action="append", choices=TIERS, help="only tests of this tier; may be repeated"
    )


def pytest_configure(config: pytest.Config) -> None:
    for tier in TIERS:
        config.addinivalue_line("markers", f"{tier}: the tests of this tier")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Of the tiers that are not asked for, nothing is imported."""
    asked = config.getoption("--tier")
    if not asked or not (collection_path.is_dir() or collection_path.name.startswith("test_")):
        return None
    below = [it for it in modules() if collection_path in (it, *it.parents)]
    return True if below and not any(tier_of(it) in asked for it in below) else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        item.add_marker(tier_of(item.path))
