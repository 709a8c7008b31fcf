"""What a process takes from outside: the clock, random numbers, and the way to the database."""

import random
import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest import mock

import asyncpg


@contextmanager
def seeded(clock: Any, connect: Any) -> Iterator[None]:
    """Let all of it follow from the seed of `random`, and connections lead to `connect`.

    The only place where a schedule reaches into what it runs.
    """
    with ExitStack() as stack:
        for owner, name, stand_in in (
            (time, "monotonic", clock),
            (time, "perf_counter", clock),
            (uuid, "uuid4", lambda: uuid.UUID(int=random.getrandbits(128), version=4)),
            (asyncpg, "connect", connect),
        ):
            stack.enter_context(mock.patch.object(owner, name, stand_in))
        yield
