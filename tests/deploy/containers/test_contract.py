"""The whole HTTP contract, held against three containers behind the balancer."""

import pytest

from tests.support.contract import *  # noqa: F403 - all of its tests

pytestmark = pytest.mark.guests  # its `server` runs the containers
