"""Containers of the release's images, each in the network of one host. Podman and runc run them."""

import os
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import parse_qs, urlsplit

from rehearsal.found import Host
from rehearsal.network import Network
from tests.support.containers import LIMITS, Engine, environment_options

# The control group of all, in each hierarchy.
GROUP: Final = "tally-rehearsal"


def remove_what_is_left() -> None:
    """Remove control groups of containers that have ended: a rehearsal that is killed leaves them.

    Nothing else outlives it. Those of one that runs are not empty.
    """
    for hierarchy in Path("/sys/fs/cgroup").rglob(GROUP):
        for folder, _, _ in os.walk(hierarchy, topdown=False):
            with suppress(OSError):
                Path(folder).rmdir()


@dataclass(frozen=True)
class Containers:
    """What they all need of the world around them, as the rehearsal stands it up."""

    network: Network
    engine: Engine
    # By service.
    images: dict[str, str]
    # A file of names and addresses, read at each look: a name that moves moves for all.
    names: Path
    # Vouches for the database, in place of RDS's own authority.
    authority: Path

    def start(self, host: Host, *described: str) -> str:
        """Start one in the background; give its name."""
        name: str = self.engine.start(*self._around(host), *described)
        return name

    def run(self, host: Host, *described: str) -> str:
        """Run one to its end; give what it said."""
        said: str = self.engine.podman("run", "--rm", *self._around(host), *described)
        return said

    def _around(self, host: Host) -> Iterable[str]:
        yield from ("--no-healthcheck", f"--cgroup-parent=/{GROUP}", *LIMITS)
        yield f"--network=ns:{self.network.hosts[host].path}"
        yield f"--volume={self.names}:/etc/hosts:ro"

    def environment(self, variables: dict[str, str]) -> Iterable[str]:
        """The options for a service's variables: whom its database's URL trusts is ours here."""
        [trusted] = parse_qs(urlsplit(variables["TALLY_DATABASE_URL"]).query)["sslrootcert"]
        yield from environment_options({**variables, "VOLUME": f"{self.authority}:{trusted}:ro"})
