"""A run to spoil."""

import pytest

from tests.support.model_history import good_run


@pytest.fixture
def run():
    return good_run()
