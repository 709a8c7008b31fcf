"""The whole HTTP contract, held against three containers behind the balancer.

These are the tests of the contract itself; only the `server` that they ask is another.
"""

from tests.contract.test_openapi import (  # noqa: F401 - collected from here
    test_contract_is_served_as_it_is_kept,
    test_events_stream_as_described,
    test_every_operation_answers_as_the_contract_says,
)
from tests.contract.test_values import *  # noqa: F403 - all of them
