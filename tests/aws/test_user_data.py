"""User data, as the check reads it."""

import pytest

from tally.aws.user_data import directives, no_secret, written

TEXT = """#cloud-config
write_files:
  - path: /etc/one
    permissions: "0644"
    content: |
      first

        second
  - path: /etc/two
    content: |
      third
runcmd: []
"""


def test_a_file_is_read_as_it_will_be_written():
    assert written(TEXT, "/etc/one") == "first\n\n  second\n"
    assert written(TEXT, "/etc/two") == "third\n"


@pytest.mark.parametrize("path", ["/etc/three", "/etc/on", "/etc.one"])
def test_what_is_not_written_is_nothing(path):
    assert written(TEXT, path) == ""


def test_directives_add_up_until_an_empty_one():
    unit = "[Service]\n# A=1\n;A=2\nA=3\nB=x\nA=\nA=4=5\nA=6\nC=\n"
    assert directives(unit) == {"A": ["", "4=5", "6"], "B": ["x"], "C": [""]}


@pytest.mark.parametrize(
    "line",
    [
        "PGPASSWORD=correct-horse",
        "-----BEGIN EC PRIVATE KEY-----",
        "key: AKIAABCDEFGHIJKLMNOP",
        "postgresql://tally:correct@host/tally",
    ],
)
def test_where_a_secret_is_gets_told_and_not_what_it_is(line):
    assert no_secret(f"first\n{line}\n") == (False, "secrets: line 2 looks like one")


@pytest.mark.parametrize("line", ["PGPASSWORD=$password", "password=$(fetch)", "PasswordAuth no"])
def test_what_is_filled_in_later_is_no_secret(line):
    assert no_secret(line) == (True, "secrets: none")
