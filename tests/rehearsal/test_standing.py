"""The deployment stands: what is asked in front goes through everything that Terraform applied."""

import asyncpg
import httpx
import pytest

from tests.support.processes import wait_for


@pytest.fixture(scope="module")
def stood(all_of_it):
    with all_of_it() as it:
        yield it


@pytest.fixture
def found(stood):
    return stood[0]


@pytest.fixture
def stands(stood):
    return stood[1]


@pytest.fixture
def client(stands):
    with httpx.Client(base_url=stands.url, verify=stands.trust) as client:
        yield client


def test_what_is_added_is_shown(client):
    assert client.post("/adder_service/entries", json={"value": "12.5"}).status_code == 201
    assert client.get("/display_service/total").json()["sum"] == "12.5"
    for path in ("/", "/adder_service", "/display_service", "/reset_service"):
        assert client.get(path).status_code == 200
    assert client.get("/nowhere").status_code == 404


def test_each_node_finds_one_healthy_in_each_zone(stands):
    zones = {host.zone for host in stands.balancer.nodes}
    zone_of = {f"{host.address}:8080": host.zone for host in stands.serving}

    def zones_found():
        healthy = [stands.balancer.healthy(node) for node in stands.balancer.nodes]
        return [{zone_of[it] for it in group} for groups in healthy for group in groups.values()]

    wait_for(lambda: all(it == zones for it in zones_found()), said=zones_found)


async def test_a_commit_waits_for_the_other_zone(stands):
    one, other = stands.database.servers
    assert one.zone != other.zone
    connection = await asyncpg.connect(stands.database.admin_url)
    try:
        assert await connection.fetchval("SELECT sync_state FROM pg_stat_replication") == "sync"
    finally:
        await connection.close()


def test_a_task_has_what_its_definition_says_and_no_more(stands, found):
    definitions = found.aws.ecs.task_definitions
    for host, name in stands.serving.items():
        if host.name not in definitions:
            continue  # a machine's
        asked, got = definitions[host.name], stands.containers.engine.inspect(name)
        assert got["HostConfig"]["Memory"] == int(asked["memory"]) << 20
        assert got["HostConfig"]["NanoCpus"] == int(asked["cpu"]) * 10**9 // 1024
        assert got["HostConfig"]["ReadonlyRootfs"]
        assert not got["EffectiveCaps"]


OPENS = """
import socket, sys
for line in sys.argv[1:]:
    address, port, seconds = line.split(":")
    try:
        socket.create_connection((address, int(port)), float(seconds)).close()
    except TimeoutError:
        print("dropped", line)
    else:
        print("opened", line)
"""


def test_from_within_a_task_only_the_database_opens(stands):
    """Of all that listens: what serves beside it, the load balancer, the database."""
    here, *_ = [host for host in stands.serving if host.name == "display"]
    listening = {
        **{host: 8080 for host in stands.serving if host != here},
        **dict.fromkeys(stands.balancer.nodes, 80),
        **dict.fromkeys(stands.database.servers, 5432),
    }
    within = ("exec", stands.serving[here], "python3", "-c", OPENS)
    # What is dropped is waited for; what opens has all the time that it needs.
    tried = [
        f"{host.address}:{port}:{60 if port == 5432 else 2}" for host, port in listening.items()
    ]
    seen = stands.containers.engine.podman(*within, *tried).splitlines()
    opened = {it.split()[1].partition(":")[0] for it in seen if it.startswith("opened")}
    assert opened == {host.address for host in stands.database.servers}
    assert len(seen) == len(listening)
