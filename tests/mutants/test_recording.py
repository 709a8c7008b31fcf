"""What forks share is loaded before any of them has its mutant."""

from mutants.covering import record
from tests.support.paths import ROOT


def test_nothing_of_the_checkout_is_loaded_beforehand(tmp_path) -> None:
    """Each of its packages may import Tally."""
    tests = ["tests/simulation/test_search.py::test_a_token_that_is_none_is_refused"]
    modules = record(tests, tmp_path, workers=1).modules
    assert "hypothesis" in modules
    assert not {it.partition(".")[0] for it in modules} & {it.name for it in ROOT.iterdir()}
