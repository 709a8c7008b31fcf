"""What Terraform renders for a machine, and what it puts there."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.support.guests import cloud as clouds
from tests.support.guests.guest import Guest
from tests.support.guests.release import PROJECT

MACHINE = PROJECT / "deploy/adder/machine"
UNITS = ("tally-adder.service", "tally-adder-password.service")


@pytest.fixture(params=["adder", "bastion"])
def rendered(request: pytest.FixtureRequest) -> tuple[str, Path]:
    """A machine's user data, and the folder of its files."""
    name = {"adder": "user_data", "bastion": "bastion_user_data"}[request.param]
    return request.getfixturevalue(name), PROJECT / "deploy" / request.param / "machine"


def test_cloud_init_accepts_it(rendered: tuple[str, Path], tmp_path: Path) -> None:
    if shutil.which("cloud-init") is None:
        pytest.skip("cloud-init is not installed")
    file = tmp_path / "user-data"
    file.write_text(rendered[0])
    done = subprocess.run(
        ["cloud-init", "schema", "--config-file", file],
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_file_arrives_unchanged(rendered: tuple[str, Path]) -> None:
    user_data, folder = rendered
    written = {entry["path"]: entry for entry in yaml.safe_load(user_data)["write_files"]}
    modes = {"bin": "0755", "sudoers.d": "0440"}
    for file in folder.rglob("*"):
        if file.is_file():
            entry = written[f"/{file.relative_to(folder)}"]
            assert entry["content"] == file.read_text()
            assert entry["permissions"] == modes.get(file.parent.name, "0644")


def test_the_database_is_verified(user_data: str) -> None:
    address = f"postgresql://tally_adder@{clouds.DATABASE_HOST}:5432/tally"
    query = "sslmode=verify-full&sslrootcert=/opt/tally/rds-us-east-1.pem"
    assert f"TALLY_DATABASE_URL={address}?{query}\n" in user_data


def test_its_scripts_pass_shellcheck(rendered: tuple[str, Path]) -> None:
    scripts = sorted(file for file in rendered[1].rglob("bin/*") if file.is_file())
    assert scripts
    shellcheck = PROJECT / ".venv/bin/shellcheck"
    done = subprocess.run([shellcheck, *scripts], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_its_units_are_right(machine: Guest) -> None:
    folder = "/etc/systemd/system"
    units = [f"{folder}/{file.name}" for file in (MACHINE / "etc/systemd/system").iterdir()]
    done = machine.run("systemd-analyze", "verify", *units)
    assert done.stdout + done.stderr == ""


@pytest.mark.parametrize("unit", UNITS)
def test_its_units_are_confined(unit: str) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed")
    done = subprocess.run(
        ["systemd-analyze", "security", "--offline=yes", MACHINE / "etc/systemd/system" / unit],
        capture_output=True,
        text=True,
        check=True,
    )
    exposure = re.search(r"exposure level for .*: ([0-9.]+)", done.stdout)
    assert exposure is not None
    assert float(exposure[1]) < 3.0
