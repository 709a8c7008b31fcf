"""A program is read while it runs, says in one line what failed, and ends with its block."""

import os
import sys
from contextlib import nullcontext
from pathlib import Path

import pytest

from tally.ledger.client_program import running


def program(text: str) -> list[str]:
    return [sys.executable, "-c", text]


async def test_it_is_read_by_pieces_to_its_end() -> None:
    text = "import os; os.write(1, b'one\\ntwo\\n')"
    with running(program(text), os.environ) as started:
        assert await started.read(3) == b"one"
        assert await started.read(100) == b"\ntwo\n"
        assert await started.read(100) == b""
        assert await started.failure() is None


async def test_it_is_read_by_lines() -> None:
    with running(program("print('a' * 50); print('b'); print('c')"), os.environ) as started:
        first = await started.lines(20)
        assert first == [b"a" * 50 + b"\n"]
        assert await started.lines(20) == [b"b\n", b"c\n"]
        assert await started.lines(20) == []


async def test_it_gets_the_environment_and_the_input_that_it_is_given(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("from the file")
    text = "import os, sys; print(os.environ['WORD'], sys.stdin.read())"
    for stdin, read in ((file.open("rb"), b"from the file"), (None, b"")):
        with stdin or nullcontext():
            given = {} if stdin is None else {"stdin": stdin}
            with running(program(text), {"WORD": "given"}, **given) as started:
                assert await started.read(100) == b"given " + read + b"\n"


@pytest.mark.parametrize("status", [1, 3])
@pytest.mark.parametrize(
    ("printed", "said"),
    [
        ("pg_dump: warning: look\npg_dump: error: no such schema\nhint: none", "no such schema"),
        ("pg_dump: error: one\npg_dump: error: two", "one"),
        ("it broke\nmore", "it broke"),
        ("pg_dump: error: ", "pg_dump: error:"),
        ("", "it gave no reason"),
    ],
)
async def test_the_first_error_is_what_failed(printed: str, said: str, status: int) -> None:
    text = f"import sys; sys.stderr.write({printed!r}); sys.exit({status})"
    with running(program(text), os.environ) as started:
        assert await started.failure() == said


async def test_who_is_killed_failed() -> None:
    with running(program("import os; os.kill(os.getpid(), 9)"), os.environ) as started:
        assert await started.failure() == "it gave no reason"


async def test_it_ends_with_its_block() -> None:
    text = "import os, sys, time; print(os.getpid(), flush=True); time.sleep(600)"
    with running(program(text), os.environ) as started:
        pid = int(await started.read(100))
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
