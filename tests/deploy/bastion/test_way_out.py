"""The bastion as the way out of the private subnets: to port 443, and nothing else."""

import contextlib
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.support.guests.cloud import Cloud
from tests.support.guests.guest import Guest, wait
from tests.support.guests.network import Network

# Seconds in which an answer would have come: nothing says that there is none.
UNANSWERED = 3
# Says who has come, and from which port.
SERVE = """
import socket, sys
with socket.create_server((sys.argv[1], int(sys.argv[2]))) as server:
    while True:
        client, (address, _) = server.accept()
        client.sendall(address.encode())
        client.close()
"""
ASK = """
import socket, sys
with socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=float(sys.argv[3])) as asked:
    print(asked.recv(100).decode())
"""


@pytest.fixture
def network(the_cloud: Cloud) -> Network:
    return the_cloud.network


@contextlib.contextmanager
def serving(address: str, port: int, enter: tuple[str, ...] = ()) -> Iterator[None]:
    """Serve there as long as this lasts."""
    served = [*enter, sys.executable, "-c", SERVE, address, str(port)]
    with subprocess.Popen(served) as server:
        try:
            wait(lambda: bool(asked(address, port, *enter)))
            yield
        finally:
            server.terminate()


def asked(address: str, port: int, *enter: str) -> str:
    """Whom somebody is seen as who asks there; nothing if nobody answers."""
    done = subprocess.run(
        [*enter, sys.executable, "-c", ASK, address, str(port), str(UNANSWERED)],
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout.strip()


def seen(network: Network, port: int = 443) -> str:
    """Whom the private subnet is seen as outside."""
    return asked(network.outside_address, port, *network.in_private())


def test_port_443_is_reached_as_the_bastion(bastion: Guest, network: Network) -> None:
    with serving(network.outside_address, 443):
        assert seen(network) == bastion.address


@pytest.mark.parametrize("port", [22, 80, 5432, 8443])
def test_no_other_port_is_reached(bastion: Guest, network: Network, port: int) -> None:
    with serving(network.outside_address, port):
        assert seen(network, port) == ""


def test_nobody_is_reached_from_outside(bastion: Guest, network: Network) -> None:
    enter = tuple(network.in_private())
    with serving(network.private.address, 443, enter):
        assert asked(network.private.address, 443) == ""
        # The bastion's rules alone are in the way.
        bastion.run("nft", "flush", "table", "inet", "way_out")
        bastion.run("nft", "delete", "table", "inet", "way_out")
        try:
            assert asked(network.private.address, 443) == network.outside_address
        finally:
            bastion.run("systemctl", "restart", "way-out")
        assert asked(network.private.address, 443) == ""


def test_nobody_else_is_forwarded(bastion: Guest, network: Network) -> None:
    """Not even to port 443: the adder's guest is in no private subnet here."""
    with serving(network.outside_address, 443):
        other = network.guests["adder"]
        lead = network.in_cloud(
            *("ip", "rule", "add", "iif", "adder", "to", network.outside_address),
            *("lookup", "100", "priority", "99"),
        )
        subprocess.run(lead, check=True)
        try:
            enter = ("ip", "netns", "exec", other.namespace)
            assert asked(network.outside_address, 443, *enter) == ""
        finally:
            subprocess.run(network.in_cloud("ip", "rule", "delete", "priority", "99"), check=True)
        # Led past the bastion it is reached: the rules alone were in the way.
        assert asked(network.outside_address, 443, *enter) == other.address


def test_it_forwards_only_while_the_service_runs(bastion: Guest, network: Network) -> None:
    with serving(network.outside_address, 443):
        bastion.run("systemctl", "stop", "way-out")
        try:
            assert seen(network) == ""
        finally:
            bastion.run("systemctl", "start", "way-out")
        assert seen(network) == bastion.address


def test_it_forwards_again_after_a_start_of_the_machine(bastion: Guest, network: Network) -> None:
    """With the kernel as it starts: it knows no rule, and forwards nothing."""
    assert bastion.output("systemctl", "is-enabled", "way-out") == "enabled"
    bastion.run("systemctl", "stop", "way-out")
    bastion.run("nft", "flush", "ruleset")
    with serving(network.outside_address, 443):
        assert seen(network) == ""
        # What is enabled is started with this.
        bastion.run("systemctl", "start", "multi-user.target")
        assert seen(network) == bastion.address


def test_starting_it_again_leaves_each_rule_once(bastion: Guest) -> None:
    before = bastion.output("nft", "list", "ruleset")
    for _ in range(2):
        bastion.run("systemctl", "restart", "way-out")
    assert bastion.output("nft", "list", "ruleset") == before
