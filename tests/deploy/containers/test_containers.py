"""The images at work: restricted, over TLS, with passwords, and stopped under load."""

import csv
import io
import json
import logging
import threading
import time
from collections.abc import Callable

import httpx
import pytest

from tests.support.containers import (
    HEALTH_CHECK,
    LIMITS,
    RESTRICTIONS,
    SERVICES,
    Container,
    LedgerDatabase,
)
from tests.support.processes import unused_port, wait_for
from tests.support.shipped import NOT_HERE

ENTRIES = "/adder_service/entries"
# The aim for the first answer. Held to the processor's time, which a busy machine hardly changes.
FIRST_ANSWER_SECONDS = 1.5
# Enough that every client is at work: each is answered before it asks again.
MANY = 200

figures = logging.getLogger("tally.figures")


def test_the_schema_step_runs_in_the_image_and_may_run_twice(schema: list[str]) -> None:
    first, second = schema
    assert first.startswith("migrated to revision ")
    assert second == first.replace("migrated to", "already at")


@pytest.mark.parametrize("service", SERVICES)
def test_the_restrictions_hold(containers: dict[str, Container], service: str) -> None:
    status = containers[service].status()
    assert status["Uid"].split() == status["Gid"].split() == ["10001"] * 4
    assert status["Groups"] in ("", "10001")
    for kind in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
        assert int(status[kind], 16) == 0, kind
    assert status["NoNewPrivs"] == "1"
    assert status["Seccomp"] == "2", "a filter of system calls"


@pytest.mark.parametrize("folder", ["/", "/tmp", "/var/tmp", "/run", "/opt/tally/lib", "/root"])
def test_nothing_can_be_written(containers: dict[str, Container], folder: str) -> None:
    program = f"open('{folder.rstrip('/')}/x', 'w')"
    tried = containers["display"].execute("python3", "-c", program)
    assert tried.returncode == 1
    assert "Read-only file system" in tried.stderr or "Permission denied" in tried.stderr


def test_the_root_is_read_only_even_for_root(engine, images) -> None:
    tried = engine.words(
        "run", "--rm", *RESTRICTIONS, *LIMITS, "--network=none", "--user=0",
        "--entrypoint=python3", images["display"], "-c", "open('/opt/tally/x', 'w')",
    )  # fmt: skip
    with pytest.raises(AssertionError, match="Read-only file system"):
        engine.podman(*tried[tried.index("run") :])


def test_a_container_answers_its_health_check_without_a_database(engine, images) -> None:
    """On the image's own port, in a network of its own: liveness is about the process alone."""
    name = engine.create(
        "--network=none",
        "--env=TALLY_DATABASE_URL=postgresql://tally_display@127.0.0.1:1/tally",
        images["display"],
    )
    container = Container(engine, name, "")
    wait_for(
        lambda: container.execute(*HEALTH_CHECK, "display").returncode == 0, said=container.logs
    )
    # The check that the image declares, as the engine runs it.
    assert engine.podman("healthcheck", "run", name).strip() in ("", "healthy")
    wrong = container.execute(*HEALTH_CHECK, "reset")
    assert (wrong.returncode, wrong.stderr.count("\n")) == (1, 1)
    assert container.execute("tally", "health", "display").returncode == 0
    assert container.execute("tally", "check").stderr.startswith(NOT_HERE)
    assert container.stop() == 0


def test_the_database_address_is_refused_without_its_authority(
    engine, images, database: LedgerDatabase, schema
) -> None:
    environment = database.environment("tally_display")
    environment["TALLY_DATABASE_URL"] = database.url(
        "tally_display", "/etc/ssl/certs/ca-certificates.crt"
    )
    container = engine.serve(images["display"], **environment, TALLY_REQUEST_TIMEOUT="0.5")
    assert httpx.get(f"{container.url}/display_service/readyz").status_code == 503
    assert "certificate verify failed" in container.logs()
    assert container.stop() == 0


def test_a_first_answer_comes_soon(engine, images, database, schema) -> None:
    """What the service itself takes; the time on the clock, with the engine's part, is reported."""
    for service in SERVICES:
        began = time.monotonic()
        container = engine.serve(images[service], **database.environment(f"tally_{service}"))
        waited = time.monotonic() - began
        worked = container.processor_seconds()
        assert container.stop() == 0
        figures.info("%s: first answer after %.2f s, %.2f s of work", service, waited, worked)
        assert worked < FIRST_ANSWER_SECONDS


def test_its_log_is_json_and_holds_no_secret(
    containers: dict[str, Container], database: LedgerDatabase
) -> None:
    for service, container in containers.items():
        httpx.get(f"{container.url}/{service}_service/readyz")
        lines = container.logs()
        assert database.passwords[f"tally_{service}"] not in lines
        events = [json.loads(line)["event"] for line in lines.splitlines() if line[:1] == "{"]
        assert events[0] == "start"


class Clients:
    """Threads that each add their own values, one after the other, until they are told to end."""

    def __init__(self, url: str, count: int) -> None:
        self.acknowledged: list[int] = []
        self.cut: list[int] = []
        self._url = url
        self._ending = threading.Event()
        self._threads = [
            threading.Thread(target=self._add, args=(number * 1_000_000 + 1,))
            for number in range(1, count + 1)
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def wait_for(self, count: int) -> None:
        """Wait until so many values more are acknowledged."""
        enough = len(self.acknowledged) + count
        wait_for(
            lambda: len(self.acknowledged) >= enough,
            said=lambda: f"for {enough} values, got {len(self.acknowledged)}",
        )

    def end(self) -> None:
        self._ending.set()
        for thread in self._threads:
            thread.join(timeout=60)
            assert not thread.is_alive()

    def _add(self, value: int) -> None:
        with httpx.Client(base_url=self._url, timeout=60) as client:
            while not self._ending.is_set():
                try:
                    answer = client.post(ENTRIES, json={"value": value})
                except httpx.ConnectError:
                    time.sleep(0.01)  # nothing listens, so nothing was sent
                    continue
                except httpx.TransportError:
                    self.cut.append(value)
                else:
                    assert answer.status_code == 201, answer.text
                    self.acknowledged.append(value)
                value += 1


def test_a_stop_under_load_loses_nothing_and_a_new_container_goes_on(
    start: Callable[..., Container], containers: dict[str, Container]
) -> None:
    display = containers["display"].url
    httpx.post(f"{containers['reset'].url}/reset_service/resets").raise_for_status()
    port = unused_port()
    first = start("adder", port=port)
    clients = Clients(first.url, 16)
    clients.start()
    try:
        clients.wait_for(MANY)
        assert first.stop() == 0, "it ended by itself and was not killed"
        second = start("adder", port=port)
        clients.wait_for(MANY)  # the new container serves the same clients
    finally:
        clients.end()
    stored = stored_values(display)
    assert sorted(stored) == sorted(set(stored)), "nothing counts twice"
    # A value whose connection was cut may have been counted or not; only these may differ.
    assert set(clients.acknowledged) <= set(stored)
    assert set(stored) <= set(clients.acknowledged) | set(clients.cut)
    # A drain answers what it took: what was cut off had not been taken.
    assert not set(stored) & set(clients.cut)
    total = httpx.get(f"{display}/display_service/total").json()
    assert (total["sum"], total["count"]) == (str(sum(stored)), len(stored))
    assert second.stop() == 0


def stored_values(display: str) -> list[int]:
    text = httpx.get(f"{display}/display_service/entries.csv").text
    return [int(row["value"]) for row in csv.DictReader(io.StringIO(text))]
