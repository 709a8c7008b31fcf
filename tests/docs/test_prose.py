"""Every file, held to one vocabulary; every document, held to the tree."""

import re
import subprocess
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FILES = [
    ROOT / name
    for name in subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout.split("\0")
    if name and (ROOT / name).is_file()
]
DOCUMENTS = [path for path in FILES if path.suffix == ".md"]
# Written by a program, or bytes; a migration that has run stays as it is.
NOT_PROSE = {".json", ".lock", ".pem", ".png", ".sql", ".svg", ".txt", ".hcl"}
PROSE = [
    path
    for path in FILES
    if path.suffix not in NOT_PROSE and path not in {Path(__file__), ROOT / "LICENSE"}
]
# What `make bench` and `make rehearsal` write to docs/.
TEMPLATES = {
    *(ROOT / "bench/document.md", ROOT / "bench/limits.md"),
    ROOT / "rehearsal/document.md",
}

# Words, as patterns; what to say for the same thing; and where, if they mean another elsewhere.
AWS = ("deploy/", "docs/", "infra/", "src/tally/aws/", "tests/aws/", "tests/infra/")
WORDS = [
    ("(?:fast|a|the|its|no|each) lanes?", "fast path", ("",)),
    (r"(?<!to\s)judge[sd]?", "checker; to check", ("",)),
    ("dice", "generator", ("faults/", "tests/faults/")),
    ("strikes?|struck", "inject a fault", ("",)),
    ("the books", "history", ("",)),
    ("rigs?", "runner", ("",)),
    ("(?:a|the|each|every) stand", "deployment", ("",)),
    ("rights", "IAM permissions; in PostgreSQL: privileges", AWS),
    ("which port of whom", "security groups; reachable ports", ("",)),
    ("denied (?:traffic|connections?)", "flow logs; refused", AWS),
    ("by day and by night", "runbook", ("",)),
    ("t(?:ake|akes|aken|ook) (?:it |them )?back", "roll back; undo", ("",)),
    ("brought out", "deployed", ("",)),
    ("defects?", "bug; of a service: internal server error", ("",)),
    ("once, for ever", "exactly once", ("",)),
    ("can(?:'t|not) be asked", "can't reach", ("",)),
    ("kept of (?:it|them)", "recorded", ("",)),
]
# Classes, what to call them, and where.
CLASSES = [
    (r"Lanes?|\w*Lane[A-Z]\w*", "fast path", "src/"),
    ("Edge", "middleware", "src/tally/web/"),
    ("Guard", "auth, CSRF", "src/tally/web/"),
    ("Linger|Drain", "lingering close", "src/tally/web/"),
    ("Shown", "representation", "src/"),
    ("Place", "data directory", "src/"),
    ("Target", "database URL", "src/tally/cli/"),
    ("Seen|Thing", "evidence, resource", "src/tally/aws/"),
    ("Judge|Books|Dice|Strike", "checker, history, generator, fault", "faults/"),
    ("Rig|Stand", "runner, deployment", ""),
]
# A word in the name of a file or folder, and the one to use.
NAMES = {
    "lane": "fast_path",
    "linger": "lingering_close",
    "edge": "middleware",
    "body": "request",
    "shown": "representation",
    "guard": "auth",
    "place": "data_directory",
    "target": "database_url",
    "rows": "requirements",
    "rules": "security_groups",
    "rights": "iam",
    "denied": "flow_logs",
    "judge": "checker",
    "books": "history",
    "dice": "generator",
    "strike": "injection",
    "rig": "runner",
    "conduct": "runner",
    r"stand(?!-ins)": "deployment",
    "life": "lifecycle",
}


def _name(path: Path) -> str:
    return str(path.relative_to(ROOT))


@cache
def _text(path: Path) -> str:
    return path.read_text()


@pytest.mark.parametrize(("words", "say", "folders"), WORDS, ids=[it[0] for it in WORDS])
def test_one_word_for_one_thing(words: str, say: str, folders: tuple[str, ...]) -> None:
    """In prose, on one line or two, and as parts of identifiers."""
    spaced = words.replace(" ", r"\s+(?:#\s*)?")
    pattern = re.compile(rf"(?<![A-Za-z])(?i:{spaced})(?![a-z]|-[a-z]|(?<=[A-Z])[A-Z])")
    found = []
    for path in PROSE:
        if not _name(path).startswith(folders):
            continue
        text = _text(path)
        for match in pattern.finditer(text):
            line = text.count("\n", 0, match.start())
            found.append(f"{_name(path)}:{line + 1}: {text.splitlines()[line].strip()}")
    assert not found, f"say: {say}\n" + "\n".join(found)


@pytest.mark.parametrize(("names", "say", "folder"), CLASSES, ids=[it[0] for it in CLASSES])
def test_a_class_has_the_fields_own_name(names: str, say: str, folder: str) -> None:
    pattern = re.compile(rf"^ *class _?({names})\b", re.MULTILINE)
    found = [
        f"{_name(path)}: {name}"
        for path in PROSE
        if path.suffix == ".py" and _name(path).startswith(folder)
        for name in pattern.findall(_text(path))
    ]
    assert not found, f"say: {say}\n" + "\n".join(found)


@pytest.mark.parametrize(("name", "say"), NAMES.items(), ids=list(NAMES))
def test_a_file_has_the_fields_own_name(name: str, say: str) -> None:
    pattern = re.compile(rf"(?:^|[._/-])(?:{name})(?:[._/-]|$)")
    found = [_name(path) for path in FILES if pattern.search(_name(path))]
    assert not found, f"say: {say}\n" + "\n".join(found)


def _anchors(text: str) -> set[str]:
    """The headings as GitHub links them."""
    without_code = re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)
    return {
        re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-")
        for heading in re.findall(r"^#+ (.*)$", without_code, re.MULTILINE)
    }


@pytest.mark.parametrize("document", DOCUMENTS, ids=_name)
def test_every_link_leads_somewhere(document: Path) -> None:
    folder = ROOT / "docs" if document in TEMPLATES else document.parent
    for target, anchor in re.findall(r"\]\((?![a-z]+:)([^)#\s]*)#?([^)\s]*)\)", _text(document)):
        path = folder / target if target else document
        assert path.exists(), f"{target} does not exist"
        if anchor and path.suffix == ".md":
            assert anchor in _anchors(_text(path)), f"{target} has no heading #{anchor}"


@pytest.mark.parametrize("document", DOCUMENTS, ids=_name)
def test_every_path_that_a_document_names_exists(document: Path) -> None:
    text = re.sub(r"^```.*?^```$", "", _text(document), flags=re.MULTILINE | re.DOTALL)
    tops = {path.relative_to(ROOT).parts[0] for path in FILES}
    missing = [
        path
        for path in re.findall(r"`([\w.*-]+(?:/[\w.*-]+)*/?)`", text)
        if path.split("/")[0] in tops and "/" in path and not list(ROOT.glob(path.rstrip("/")))
    ]
    assert missing == []


def test_every_path_in_the_code_exists() -> None:
    tops = "|".join(
        sorted(
            {re.escape(path.relative_to(ROOT).parts[0]) for path in FILES if path.parent != ROOT}
        )
    )
    pattern = re.compile(rf"(?<![\w./-])(?:{tops})/[\w./-]+\.(?:py|md|tf|toml|yml|yaml|html|js)\b")
    missing = [
        f"{_name(path)}:{number}: {found}"
        for path in PROSE
        if path.suffix in {".py", ".tf", ".yml"}
        for number, line in enumerate(_text(path).splitlines(), 1)
        for found in pattern.findall(line)
        if not ((ROOT / found).exists() or (path.parent / found).exists())
    ]
    assert missing == []


def test_the_readme_shows_the_tree() -> None:
    readme = _text(ROOT / "README.md").partition("## Where things are\n")[2]
    [tree] = re.findall(r"^```\n(.*?)^```$", readme, re.MULTILINE | re.DOTALL)
    shown: set[str] = set()
    top = ""
    for indent, name in re.findall(r"^( *)(\S+)", tree, re.MULTILINE):
        top = top if indent else name
        shown.add(top + name if indent else name)
    assert [path for path in shown if not (ROOT / path).exists()] == []
    folders = {re.match(r"(src/tally/\w+|[^/]+)/", _name(path)) for path in FILES} - {None}
    missing = {it[0] for it in folders if not any(path.startswith(it[0]) for path in shown)}
    assert missing == set()


def test_the_index_of_the_decisions_gives_each_its_title() -> None:
    folder = ROOT / "docs/decisions"
    records = [
        (path.name, _text(path).splitlines()[0].removeprefix("# "))
        for path in sorted(folder.glob("0*.md"))
    ]
    index = re.findall(r"^\d+\. \[(.*)\]\((.*)\)$", _text(folder / "README.md"), re.MULTILINE)
    assert [(name, title) for title, name in index] == records
