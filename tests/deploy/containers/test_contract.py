"""The whole HTTP contract, held against three containers behind the balancer."""

from tests.support.contract import *  # noqa: F403 - all of its tests
