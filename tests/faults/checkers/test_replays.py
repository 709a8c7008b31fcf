"""A key is answered as it was answered first."""

import pytest


@pytest.mark.parametrize(
    ("change", "checker"),
    [
        (lambda run: run.change_answer(22, sum="71.550000001"), "replays"),  # as of today
        (lambda run: run.change_answer(22, first_id=4), "replays"),
        (lambda run: run.change(22, replayed=False), "replays"),
        (lambda run: run.change(1, replayed=True), "replays"),
        (lambda run: run.change(17, key="c"), "replays"),  # another request's key
    ],
)
def test_a_wrong_repeat_is_found(run, change, checker):
    change(run)
    assert checker in run.findings()
