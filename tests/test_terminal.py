"""Nothing that is printed commands the terminal, whatever names, files and settings hold."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import example, given
from hypothesis import strategies as st

from tally import terminal
from tally.cli import main

HOSTILE = "\x1b]0;owned\x07\x1b[2J\x9b31m\x7f\r\b\u202e\u2028\U000e0041\udcff"
# Control sequences (C0, DEL, C1) as often as plain text.
texts = st.text(st.characters(exclude_characters="\0") | st.sampled_from(HOSTILE), min_size=1)
# Names that a file may have: undecodable bytes come as lone surrogates (PEP 383).
names = st.binary(min_size=1, max_size=100).map(
    lambda name: os.fsdecode(name.translate(None, b"\0/"))
)
ROOT = Path(__file__).parents[1]


def is_harmless(text: str) -> bool:
    return all(it.isprintable() or it in "\n\t" for it in text)


@given(texts)
@example(HOSTILE)
def test_an_escaped_text_is_harmless_and_stays_so(text) -> None:
    escaped = terminal.escape(text)
    assert is_harmless(escaped)
    assert terminal.escape(escaped) == escaped
    assert (escaped == text) == is_harmless(text)


@given(texts)
@example(HOSTILE)
def test_escaped_json_says_what_it_said(text) -> None:
    said = json.dumps({"name": text}, ensure_ascii=False)
    assert json.loads(terminal.escape(said)) == {"name": text}


def refusal(*arguments: str, stdin: str = "", **environment: str) -> str:
    done = CliRunner(env={"TALLY_DATA_DIR": "/dev/null/x", **environment}).invoke(
        main, arguments, input=stdin
    )
    assert done.exit_code in (1, 2, 3), done.output
    assert is_harmless(done.output), ascii(done.output)
    return done.output


@given(texts)
@example(HOSTILE)
def test_no_argument_reaches_the_terminal_raw(text) -> None:
    refusal(text)
    refusal("add", f"x{text}")
    refusal("add", f"--{text}")
    refusal("add", "--file", "-", "--format", text)
    refusal("undo", text)
    refusal("purge", "--older-than", text)
    refusal("serve", text)
    refusal("check", "--address", text)


@given(names)
@example(HOSTILE)
def test_no_file_name_reaches_the_terminal_raw(tmp_path_factory, name) -> None:
    folder = tmp_path_factory.getbasetemp()
    missing = refusal("add", "--file", f"{folder}/none/{name}.csv")
    assert missing.startswith("tally: ")
    assert missing.count("\n") == 1, "one line, whatever the name holds"
    file = folder / f"x{name}.csv"
    file.write_text("1\nthree\n")
    refused = refusal("add", "--file", str(file))
    assert "'three' must be a plain decimal number" in refused
    assert refused.count("\n") == 1
    refusal("export", "--output", f"{folder}/none/{name}")
    refusal("check", "--waivers", f"{folder}/none/{name}")


@given(texts, st.sampled_from(["csv", "ndjson"]))
@example(HOSTILE, "csv")
def test_nothing_in_a_file_reaches_the_terminal_raw(tmp_path_factory, text, form) -> None:
    file = tmp_path_factory.getbasetemp() / "hostile"
    content = f"{text},value\r\n1,{text}x\r\n" if form == "csv" else f'"{text}x"\n'
    file.write_bytes(content.encode(errors="ignore"))
    refusal("add", "--file", str(file), "--format", form)
    # A header of one's own names the field of the message.
    file.write_bytes(f"{text}\r\nx\r\n".encode(errors="ignore"))
    refusal("add", "--file", str(file), "--format", "csv")


@pytest.mark.parametrize("setting", ["TALLY_PORT", "TALLY_LOG", "TALLY_DATA_DIR"])
def test_no_setting_reaches_the_terminal_raw(setting) -> None:
    hostile = HOSTILE.replace("\udcff", "")
    assert "owned" in refusal("migrate", **{setting: f"/dev/null/{hostile}"})


def test_nothing_of_a_database_url_reaches_the_terminal() -> None:
    hostile = HOSTILE.replace("\udcff", "")
    url = f"postgresql://localhost:1/{hostile}"
    assert "owned" not in refusal("migrate", TALLY_DATABASE_URL=url)


def run_python(program: str, *arguments: str, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments],
        env={**os.environ, **environment},
        cwd=ROOT,
        capture_output=True,
        check=False,
    )
    return (done.stdout + done.stderr).decode("latin-1")


def test_a_traceback_is_escaped_too() -> None:
    said = run_python(
        "import sys; from tally.terminal import protect; protect(); raise ValueError(sys.argv[1])",
        "\x1b[31mowned",
    )
    assert r"ValueError: \u001b[31mowned" in said
    assert is_harmless(said)


def test_a_locale_without_utf_8_opens_no_way_around() -> None:
    said = run_python(
        "from tally.cli import main; main()",
        "\x1b[31mowned",
        LC_ALL="C",
        PYTHONUTF8="0",
        PYTHONCOERCECLOCALE="0",
    )
    assert "owned" in said
    assert is_harmless(said)
