"""Programs of the distribution's that a test runs."""

import os
import shutil

import pytest

# Debian's packages of programs that have another name.
_PACKAGES = {
    "etcd": "etcd-server",
    "ip": "iproute2",
    "nft": "nftables",
    "ssh-agent": "openssh-client",
    "ssh-keygen": "openssh-client",
    "systemd-analyze": "systemd",
    "systemd-nspawn": "systemd-container",
}


def need(*names: str) -> list[str]:
    """Find each program; leave the test out where one is missing."""
    # Debian puts servers where only root's PATH leads.
    path = f"{os.environ['PATH']}:/usr/sbin"
    found = {name: shutil.which(name, path=path) for name in names}
    if missing := [name for name, file in found.items() if file is None]:
        packages = dict.fromkeys(_PACKAGES.get(name, name) for name in missing)
        pytest.skip(f"{', '.join(missing)} not installed: apt install {' '.join(packages)}")
    return [file for file in found.values() if file is not None]
