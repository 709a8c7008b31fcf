"""The whole deployment, standing: network, database, tasks, machines, load balancer, front."""

import ssl
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from http.client import OK
from pathlib import Path
from typing import Final

import httpx

from rehearsal import machines, tasks
from rehearsal.containers import Containers, remove_what_is_left
from rehearsal.database import Database
from rehearsal.found import Found, Host
from rehearsal.front import NAME, Front
from rehearsal.load_balancer import LoadBalancer
from rehearsal.network import Network
from tests.support.containers import SERVICES, Engine
from tests.support.managed_postgres import Certificates
from tests.support.processes import wait_for

_READY: Final = [f"/{it}_service/readyz" for it in SERVICES]


@dataclass(frozen=True)
class Standing:
    """What stands, and where a browser finds it."""

    network: Network
    database: Database
    containers: Containers
    # Names of containers, by the hosts whose networks they have.
    serving: dict[Host, str]
    balancer: LoadBalancer
    url: str
    # Trusts the front's certificate.
    trust: ssl.SSLContext


@contextmanager
def standing(
    found: Found, engine: Engine, images: dict[str, str], say: Callable[[str], None]
) -> Iterator[Standing]:
    """Stand everything up until every service is ready, and take it down.

    The engine has the images of the release.
    """
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tally-standing-")))
        remove_what_is_left()
        stack.callback(remove_what_is_left)
        folder.chmod(0o711)  # PostgreSQL runs as somebody else
        names = NAME, found.aws.rds.database["Endpoint"]["Address"]
        certificates = Certificates.issue(folder, *names)
        say("the network")
        network = stack.enter_context(closing(Network(found)))
        say("the database, and its standby")
        database = Database(found, network, folder, certificates)
        stack.callback(database.close)
        stack.callback(engine.remove_containers)
        containers = Containers(network, engine, images, database.names, certificates.authority)
        say("the schema step")
        tasks.run_schema_step(found, containers)
        say("tasks, machines and the load balancer")
        serving = tasks.start(found, containers) | machines.start(found, containers)
        balancer = stack.enter_context(closing(LoadBalancer(found, network)))
        front = stack.enter_context(closing(Front(found, network, certificates)))
        trust = ssl.create_default_context(cafile=certificates.authority)
        with httpx.Client(base_url=front.url, verify=trust) as client:
            wait_for(
                lambda: all(client.get(it).status_code == OK for it in _READY),
                said=lambda: [engine.podman("logs", it) for it in serving.values()],
            )
        yield Standing(network, database, containers, serving, balancer, front.url, trust)
