"""Making the mutants of a file."""

import difflib
from collections.abc import Container, Iterator
from pathlib import Path

from cosmic_ray.ast import ast_nodes, get_ast
from cosmic_ray.mutating import mutate_code

from mutants.mutant import ARROW, PACKAGE, Mutant
from mutants.operators import OPERATORS
from mutants.sql import MUTATIONS


def mutants_of(path: Path, lines: Container[int] | None = None) -> Iterator[Mutant]:
    """Give every mutant of a file, or those that change one of these lines, each once."""
    original = path.read_text()
    name = str(path.relative_to(PACKAGE))
    python = _texts(original, lines) if path.suffix == ".py" else ()
    sql = (mutation.made_in(original) for mutation in MUTATIONS if mutation.file == path.name)
    for text in dict.fromkeys(python):
        yield Mutant(name, *_difference(original, text), text)
    for text in sql:
        line, change = _difference(original, text)
        if lines is None or line in lines:
            yield Mutant(name, line, change, text)


def _texts(original: str, lines: Container[int] | None) -> Iterator[str]:
    nodes = list(ast_nodes(get_ast(original)))
    for operator in OPERATORS:
        places = (it for node in nodes for it in operator.mutation_positions(node))
        for number, (start, end) in enumerate(places):
            if lines is None or any(line in lines for line in range(start[0], end[0] + 1)):
                text = mutate_code(original, operator, number)
                if text and _essence(text) != _essence(original) and _is_python(text):
                    yield text


def _essence(text: str) -> str:
    """Leave out what costs memory alone, or lets attributes change, which mypy sees."""
    for flag in ("slots", "frozen"):
        text = text.replace(f"{flag}=False", f"{flag}=True")
    return text


def _is_python(text: str) -> bool:
    """Leave out what cosmic-ray makes of a star that is no operator."""
    try:
        compile(text, "", "exec")
    except SyntaxError:
        return False
    return True


def _difference(original: str, text: str) -> tuple[int, str]:
    """Give the first line that differs, and what was made of what."""
    old, new = original.splitlines(), text.splitlines()
    matcher = difflib.SequenceMatcher(None, old, new, autojunk=False)
    blocks = [it for it in matcher.get_opcodes() if it[0] != "equal"]
    was = _one_line(old[blocks[0][1] : blocks[-1][2]])
    becomes = _one_line(new[blocks[0][3] : blocks[-1][4]])
    return blocks[0][1] + 1, f"{was}{ARROW}{becomes}"


def _one_line(lines: list[str]) -> str:
    return " ".join(line.strip() for line in lines)
