"""The adder's units and what its user data tells it, before a machine runs them."""

import re
import subprocess

import pytest

from tests.support.guests import cloud as clouds
from tests.support.guests.guest import Guest
from tests.support.guests.release import PROJECT
from tests.support.programs import need

UNITS = PROJECT / "deploy/adder/machine/etc/systemd/system"


def test_the_database_is_verified(user_data: str) -> None:
    address = f"postgresql://tally_adder@{clouds.DATABASE_HOST}:5432/tally"
    query = "sslmode=verify-full&sslrootcert=/opt/tally/rds-us-east-1.pem"
    assert f"TALLY_DATABASE_URL={address}?{query}\n" in user_data


def test_its_units_are_right(machine: Guest) -> None:
    folder = "/etc/systemd/system"
    units = [f"{folder}/{file.name}" for file in UNITS.iterdir()]
    done = machine.run("systemd-analyze", "verify", *units)
    assert done.stdout + done.stderr == ""


@pytest.mark.parametrize("unit", ["tally-adder.service", "tally-adder-password.service"])
def test_its_units_are_confined(unit: str) -> None:
    need("systemd-analyze")
    done = subprocess.run(
        ["systemd-analyze", "security", "--offline=yes", UNITS / unit],
        capture_output=True,
        text=True,
        check=True,
    )
    exposure = re.search(r"exposure level for .*: ([0-9.]+)", done.stdout)
    assert exposure is not None
    assert float(exposure[1]) < 3.0
