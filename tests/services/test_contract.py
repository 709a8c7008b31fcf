"""The whole HTTP contract, held against all services in one process."""

from tests.support.contract import *  # noqa: F403 - all of its tests
