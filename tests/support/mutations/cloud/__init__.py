"""A deployment in a copy of its emulator, to be changed: a module for each part."""

from tests.support.mutations.cloud.access import Access
from tests.support.mutations.cloud.bastion import Bastion
from tests.support.mutations.cloud.containers import Containers
from tests.support.mutations.cloud.database import Database
from tests.support.mutations.cloud.ingress import Ingress
from tests.support.mutations.cloud.machines import Machines
from tests.support.mutations.cloud.network import Network

ANYONE = "0.0.0.0/0"


class Cloud(Access, Bastion, Containers, Database, Ingress, Machines, Network):
    """A deployment to change, found by its names."""
