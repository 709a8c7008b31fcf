"""The list of changes to SQL keeps step with the SQL."""

import pytest

from mutants.mutant import modules
from mutants.sql import MUTATIONS, Mutation

FILES = {file.name: file.read_text() for file in modules()}


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda it: f"{it.file}: {it.becomes}")
def test_each_change_changes_what_is_there(mutation: Mutation) -> None:
    text = FILES[mutation.file]
    assert mutation.made_in(text) != text
