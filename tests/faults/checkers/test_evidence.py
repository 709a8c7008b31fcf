"""A history that can not be checked is refused."""

import pytest

from faults.checkers import check
from tests.support.model_history import Run


def test_a_value_that_two_requests_sent_can_not_be_checked():
    run = Run()
    run.add("1")
    run.add("1.0")
    with pytest.raises(ValueError, match="two requests"):
        check(run.history())
