"""What Terraform renders for a machine, and what it puts there."""

import subprocess
from pathlib import Path

import pytest
import yaml

from tests.support.guests import rendering
from tests.support.guests.release import CERTIFICATES, PROJECT
from tests.support.programs import need

AUTHORITY = PROJECT / CERTIFICATES


VALUES = {
    "adder": rendering.adder_of_the_guest(AUTHORITY, "adder/1.0.1.pex", "a" * 64),
    "bastion": rendering.bastion_of_the_guest(AUTHORITY, "10.60.10.0/24, 10.60.11.0/24"),
}


@pytest.fixture(scope="module", params=VALUES)
def rendered(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, Path]:
    """A machine's user data, and the folder of its files."""
    folder = tmp_path_factory.mktemp("terraform")
    text = rendering.render(folder, request.param, VALUES[request.param])
    return text, PROJECT / "deploy" / request.param / "machine"


def test_cloud_init_accepts_it(rendered: tuple[str, Path], tmp_path: Path) -> None:
    need("cloud-init")
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
    user_data, machine = rendered
    written = {entry["path"]: entry for entry in yaml.safe_load(user_data)["write_files"]}
    modes = {"bin": "0755", "sudoers.d": "0440"}
    for folder in (machine, machine.with_name("way-out")):
        for file in folder.rglob("*"):
            if file.is_file():
                entry = written[f"/{file.relative_to(folder)}"]
                assert entry["content"] == file.read_text()
                assert entry["permissions"] == modes.get(file.parent.name, "0644")


def test_a_bastion_that_is_not_the_way_out_gets_nothing_of_it(tmp_path: Path) -> None:
    """The rest is the same: what stands beside forwarding is all that differs."""
    told = {}
    for name, forward_from in (("way-out", "10.60.10.0/24"), ("other", "")):
        (tmp_path / name).mkdir()
        values = rendering.bastion_of_the_guest(AUTHORITY, forward_from)
        told[name] = yaml.safe_load(rendering.render(tmp_path / name, "bastion", values))
    other, way_out = told["other"], told["way-out"]
    written = [entry for entry in way_out["write_files"] if entry not in other["write_files"]]
    assert {entry["path"] for entry in written} == {
        "/etc/tally/private-subnets.nft",
        "/etc/tally/way-out.nft",
        "/etc/systemd/system/way-out.service",
    }
    begin = ["systemctl", "enable", "--now", "way-out.service"]
    assert way_out == other | {
        "packages": [*other["packages"], "nftables"],
        "runcmd": [begin, *other["runcmd"]],
        "write_files": way_out["write_files"],
    }


def test_its_scripts_pass_shellcheck(rendered: tuple[str, Path]) -> None:
    scripts = sorted(file for file in rendered[1].rglob("bin/*") if file.is_file())
    assert scripts
    shellcheck = PROJECT / ".venv/bin/shellcheck"
    done = subprocess.run([shellcheck, *scripts], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
