"""Every mutation, a module for each of `tally.aws.requirements`."""

from tests.support.mutations import (  # noqa: F401 - each declares its own
    access,
    bastion,
    containers,
    cost,
    database,
    firewall,
    flow_logs,
    images,
    ingress,
    logs,
    machines,
    network,
    reachability,
    serving,
    storage,
)
from tests.support.mutations.declaration import MET, MUTATIONS

__all__ = ["MET", "MUTATIONS"]
