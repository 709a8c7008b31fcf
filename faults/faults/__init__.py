"""All faults. To add one, declare a function with `@fault` in the module of what it attacks.

Its code before `yield` injects the fault, its code after it heals. Nothing else names it: the
generator, the nemesis, the report and the tests read `FAULTS`.
"""

from collections.abc import Mapping
from types import ModuleType
from typing import Final

from faults.faults import (
    clients,
    cluster,
    hostile,
    migrations,
    network,
    postgres,
    resources,
    services,
    sessions,
)
from faults.faults.fault import Fault


def _declared(*modules: ModuleType) -> Mapping[str, Fault]:
    return {
        declared.name: declared
        for module in modules
        for declared in vars(module).values()
        if isinstance(declared, Fault)
    }


# The order is part of what a seed draws.
ON_A_SERVER: Final = _declared(services, postgres, network, resources, clients, migrations, hostile)
ON_A_CLUSTER: Final = _declared(cluster, sessions)
FAULTS: Final[Mapping[str, Fault]] = {**ON_A_SERVER, **ON_A_CLUSTER}
FULL_DISK: Final = resources.full_disk.name
