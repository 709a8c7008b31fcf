"""`tally reset` and `tally undo`."""

from tests.support.command import refusal, result


def test_reset_asks_and_undo_gives_back(tally) -> None:
    result(tally("add", "5", "6", "--json"))
    assert "add --yes" in refusal(tally("reset"), 2)
    made = result(tally("reset", "--yes", "--json"))
    assert (made["id"], made["sum"], made["count"]) == (1, "11", 2)
    assert result(tally("undo", "--json"))["sum"] == "11"
    assert "there is no reset to undo" in refusal(tally("undo"), 1)
    assert "not the newest" in refusal(tally("undo", "1"), 1)
