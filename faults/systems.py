"""The systems under test: what each is, and the faults that it gets."""

from collections.abc import Mapping
from typing import Final, NamedTuple

from faults.faults import ON_A_CLUSTER, ON_A_SERVER
from faults.faults.fault import Fault

SERVER: Final = "server"
CLUSTER: Final = "cluster"


class Described(NamedTuple):
    """A system, as the report tells of it, and the seconds that it needs for a fault on average."""

    title: str
    sentence: str
    faults: Mapping[str, Fault]
    slot_seconds: float


SYSTEMS: Final = {
    SERVER: Described(
        "One server",
        "The PostgreSQL that comes along, started again when it ends.",
        ON_A_SERVER,
        5.0,
    ),
    CLUSTER: Described(
        "A cluster",
        "Three PostgreSQL under Patroni and etcd, in strict synchronous mode.",
        ON_A_CLUSTER,
        # Nodes take their time to agree on a leader and to follow it again.
        20.0,
    ),
}
