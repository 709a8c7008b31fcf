"""What a run leaves out it also says how to get: every skip in the tests has a remedy."""

import ast
from collections.abc import Iterator

import pytest

from tests.support.left_out import table, why_and_remedy
from tests.support.paths import ROOT, TESTS


def skips() -> Iterator[tuple[str, ast.expr | None]]:
    """Where each skip stands, and its reason."""
    for path in sorted(TESTS.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_bytes())):
            if not isinstance(node, ast.Call):
                continue
            place = f"{path.relative_to(ROOT)}:{node.lineno}"
            named = {it.arg: it.value for it in node.keywords}
            match ast.unparse(node.func):
                case "pytest.skip" | "pytest.mark.skip":
                    yield place, named.get("reason") or next(iter(node.args), None)
                case "pytest.mark.skipif" | "pytest.importorskip":
                    yield place, named.get("reason")


def text(reason: ast.expr | None) -> str:
    """What of it stands in the test; a detail that only a run knows is "..."."""
    match reason:
        case ast.Constant(value=str(words)):
            return words
        case ast.JoinedStr(values=parts):
            return "".join(it.value if isinstance(it, ast.Constant) else "..." for it in parts)
        case _:
            return ""


def test_every_skip_has_a_remedy() -> None:
    found = dict(skips())
    assert len(found) > 20
    without = {place: text(why) for place, why in found.items() if not why_and_remedy(text(why))[1]}
    assert without == {}


def test_no_skip_goes_by_another_name() -> None:
    """A name of its own would pass by the test above."""
    names = {"skip", "skipif", "importorskip", "skipTest"}
    found = [
        f"{path.relative_to(ROOT)}: {ast.unparse(node)}"
        for path in sorted(TESTS.rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_bytes()))
        if isinstance(node, ast.ImportFrom)
        and node.module == "pytest"
        and names & {it.name for it in node.names}
    ]
    assert found == []


@pytest.mark.parametrize(
    ("reason", "parted"),
    [
        ("nginx not installed: apt install nginx", ("nginx not installed", "apt install nginx")),
        ("only root mounts", ("only root mounts", "run `make test` as root")),
        ("mount: /x: denied: run it as root", ("mount: /x: denied", "run it as root")),
        ("no tunnel: no /dev/net/tun", ("no tunnel: no /dev/net/tun", "")),
    ],
)
def test_a_remedy_is_told_from_a_detail(reason: str, parted: tuple[str, str]) -> None:
    assert why_and_remedy(reason) == parted


def test_the_table_has_most_tests_first() -> None:
    lines = list(table({"only root mounts": 1, "nginx not installed: apt install nginx": 12}))
    assert [line.split()[0] for line in lines] == ["tests", "12", "1"]
    assert lines[1].endswith("apt install nginx")
