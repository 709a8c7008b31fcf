"""Two networks of their own: the machine's, and that of everything it talks to.

    this test  --  cloud (routes; the emulator, the metadata service, PostgreSQL)  --  guest

There is no way from the guest to anything else.
"""

import contextlib
import ipaddress
import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

# Where every machine on AWS finds its metadata and the credentials of its role.
METADATA = "169.254.169.254"


@dataclass(frozen=True)
class Network:
    """Names of the two namespaces, and addresses as the guest and the test see them."""

    cloud: str
    guest: str
    cloud_address: str
    guest_address: str

    def in_cloud(self, *command: str) -> list[str]:
        """Give the command that runs this one in the cloud's namespace."""
        return ["ip", "netns", "exec", self.cloud, *command]


def ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True)


@contextlib.contextmanager
def network() -> Iterator[Network]:
    """Make both; on leaving, with the processes in them ended, nothing stays.

    Skips the test where none can be made.
    """
    if os.geteuid() != 0:
        pytest.skip("a network namespace is made by root only")
    if shutil.which("ip") is None:
        pytest.skip("ip is not installed: apt install iproute2")
    number = os.getpid()
    # Eight addresses, other ones for tests that run at the same time, from the 2^17 that are set
    # aside for tests between networks (RFC 2544).
    first = ipaddress.IPv4Address("198.18.0.0") + 8 * (number % (1 << 14))
    made = Network(
        cloud=f"tally-cloud-{number}",
        guest=f"tally-guest-{number}",
        cloud_address=f"{first + 5}",
        guest_address=f"{first + 6}",
    )
    outside, inside = f"tally{number}", "test"
    with contextlib.ExitStack() as stack:
        for name in (made.cloud, made.guest):
            ip("netns", "add", name)
            stack.callback(ip, "netns", "delete", name)
        ip("link", "add", outside, "type", "veth", "peer", "name", inside, "netns", made.cloud)
        # Gone at once; a namespace's own links go some time after it.
        stack.callback(ip, "link", "delete", outside)
        ip("address", "add", f"{first + 1}/30", "dev", outside)
        ip("link", "set", outside, "up")
        ip("route", "add", f"{first + 4}/30", "via", f"{first + 2}")

        cloud, guest = ("-netns", made.cloud), ("-netns", made.guest)
        ip(*cloud, "address", "add", f"{first + 2}/30", "dev", inside)
        ip(*cloud, "link", "add", "guest", "type", "veth", "peer", "name", "eth0")
        ip(*cloud, "link", "set", "eth0", "netns", made.guest)
        ip(*cloud, "address", "add", f"{made.cloud_address}/30", "dev", "guest")
        ip(*cloud, "address", "add", f"{METADATA}/32", "dev", "lo")
        for link in ("lo", inside, "guest"):
            ip(*cloud, "link", "set", link, "up")
        forward = made.in_cloud("sysctl", "--quiet", "--write", "net.ipv4.ip_forward=1")
        subprocess.run(forward, check=True)

        ip(*guest, "address", "add", f"{made.guest_address}/30", "dev", "eth0")
        ip(*guest, "link", "set", "lo", "up")
        ip(*guest, "link", "set", "eth0", "up")
        ip(*guest, "route", "add", "default", "via", made.cloud_address)
        yield made
