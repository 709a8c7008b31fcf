"""All faults. To add one, declare a function with `@fault` in the module of what it attacks.

Its code before `yield` injects the fault, its code after it heals. Nothing else names it: the
generator, the nemesis, the report and the tests read `FAULTS`.
"""

from collections.abc import Mapping
from typing import Final

from faults.faults import clients, hostile, migrations, network, postgres, resources, services
from faults.faults.fault import Fault

# The order is part of what a seed draws.
FAULTS: Final[Mapping[str, Fault]] = {
    declared.name: declared
    for module in (services, postgres, network, resources, clients, migrations, hostile)
    for declared in vars(module).values()
    if isinstance(declared, Fault)
}
FULL_DISK: Final = resources.full_disk.name
