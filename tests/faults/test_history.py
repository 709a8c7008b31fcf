"""The history is kept whole, in memory and in its file."""

from faults.history import History
from tests.support.model_history import good_run


def test_a_history_is_read_as_it_was_written(tmp_path):
    path = tmp_path / "history.jsonl"
    history = good_run().history()
    history.write(path)
    again = History.read(path)
    assert list(again.attempts()) == list(history.attempts())
    assert again.all(object) == history.all(object)
    assert again.final == history.final
