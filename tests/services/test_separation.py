"""A service says at its start if its role may do more than the service is for."""

import json
import os
import subprocess
import sys

import pytest

from tests.support.postgres import execute
from tests.support.processes import wait_for


@pytest.fixture
def start(tmp_path):
    """Start `tally serve`; returns what it logged once it began, all of the check included."""
    started = []

    def run(service, **environment):
        log = tmp_path / "log"
        with log.open("wb") as stdout:
            process = subprocess.Popen(
                [sys.executable, "-m", "tally", "serve", service, "--port", "0"],
                env={**os.environ, "TALLY_LOG": "json", **environment},
                stdout=stdout,
                stderr=subprocess.DEVNULL,
            )
        started.append(process)

        def lines():
            return [json.loads(line) for line in log.read_text().splitlines()]

        wait_for(lambda: any(line["event"].startswith("roles ") for line in lines()), said=lines)
        return [line for line in lines() if line["level"] == "warning"]

    yield run
    for process in started:
        process.kill()
        process.wait()


def urls(ledger, role):
    return {
        f"TALLY_{service.upper()}_DATABASE_URL": ledger.url(role or f"tally_{service}")
        for service in ("adder", "display", "reset")
    }


def test_a_role_for_each_service_is_no_warning(start, ledger):
    assert start("all", **urls(ledger, None)) == []


def test_a_service_with_its_own_role_is_no_warning(start, ledger):
    assert start("reset", TALLY_DATABASE_URL=ledger.url("tally_reset")) == []


@pytest.mark.parametrize("service", ["adder", "display", "reset"])
def test_a_role_with_the_owner_s_powers_is_one_warning(start, ledger, service):
    role = f"tally_{service}"
    execute(ledger.owner_url, f"GRANT postgres TO {role}")
    try:
        (warning,) = start(service, TALLY_DATABASE_URL=ledger.url(role))
    finally:
        execute(ledger.owner_url, f"REVOKE postgres FROM {role}")
    assert warning["event"] == "roles separate nothing"
    assert warning[service] == f"{role} may do more: everything, as the owner"


def test_one_role_for_all_services_is_one_warning(start, ledger):
    (warning,) = start("all", **urls(ledger, "tally_adder"))
    assert "tally_adder may do more: add_batch" in warning["display"]
    assert "add_batch" in warning["reset"]
    assert "adder" not in warning
