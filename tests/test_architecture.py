"""ARCHITECTURE.md tells the truth: its layers are the imports, its traces name what is there."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "tally"
PAGE = (ROOT / "ARCHITECTURE.md").read_text()
# "`ledger` | what it does | `amount`, `settings`": a row of the table of layers.
ROW = re.compile(r"^\| `([a-z_]+)` \|[^|]*\| ([^|]*) \|$", re.MULTILINE)
# "`ledger/writer.py` `Writer.submit`": a step of a trace.
STEP = re.compile(r"`([a-z_/]+\.(?:py|js|sql|html))` `([A-Za-z_.]+)`")

LAYERS = {layer: set(re.findall(r"`([a-z_]+)`", imports)) for layer, imports in ROW.findall(PAGE)}


def layer_of(file: Path) -> str:
    return file.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported_layers(file: Path) -> set[str]:
    """The layers of tally that a module imports, at its top, in a function or for its types."""
    modules: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            modules |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: imports are absolute"
            modules |= {f"{node.module}.{alias.name}" for alias in node.names}
    parts = (module.split(".") for module in modules if module.startswith("tally."))
    return {layer for _, layer, *_ in parts if (PACKAGE / layer).is_dir() or is_module(layer)}


def is_module(layer: str) -> bool:
    return (PACKAGE / f"{layer}.py").exists()


def files() -> list[Path]:
    return [
        file for file in sorted(PACKAGE.rglob("*.py")) if file.parent != PACKAGE or is_layer(file)
    ]


def is_layer(file: Path) -> bool:
    return file.name not in {"__init__.py", "__main__.py"}


def test_every_package_and_module_is_a_layer() -> None:
    assert {layer_of(file) for file in files()} == LAYERS.keys()


@pytest.mark.parametrize("layer", LAYERS)
def test_a_layer_imports_what_its_row_says(layer: str) -> None:
    found = {name for file in files() if layer_of(file) == layer for name in imported_layers(file)}
    assert found - {layer} == LAYERS[layer]


def test_imports_run_downwards() -> None:
    rows = list(LAYERS)
    for layer, imports in LAYERS.items():
        above = [name for name in imports if rows.index(name) < rows.index(layer)]
        assert not above, f"{layer} imports {above}, which stand above it"


def test_the_web_knows_no_ledger_and_no_service_speaks_to_aws() -> None:
    assert not LAYERS["web"] & {"ledger", "pages", "services", "representation"}
    assert "aws" not in LAYERS["services"]
    assert [layer for layer, imports in LAYERS.items() if "aws" in imports] == ["cli"]


@pytest.mark.parametrize(
    "proof", ["bench", "deploy", "faults", "mutants", "rehearsal", "scripts", "tests"]
)
def test_the_product_imports_no_proof(proof: str) -> None:
    pattern = re.compile(rf"^\s*(?:from|import) {proof}\b", re.MULTILINE)
    assert not [file for file in PACKAGE.rglob("*.py") if pattern.search(file.read_text())]


def test_a_step_of_a_trace_names_what_is_there() -> None:
    steps = STEP.findall(PAGE)
    assert steps
    for file, name in steps:
        text = (PACKAGE / file).read_text()
        for part in name.split("."):
            assert re.search(rf"(?:\b(?:class|def|function)\s+|\.|^|\s){part}\b", text), (
                f"{file} has no {name}"
            )
