"""Who may log in to the bastion."""

import re
import subprocess
from pathlib import Path

import pytest

from tests.support.guests.guest import Guest
from tests.support.guests.operator import Operator


def test_no_password_is_asked_for(bastion: Guest, operator: Operator, tmp_path: Path) -> None:
    """Not even the right one."""
    bastion.run("sh", "-c", "echo ec2-user:correct | chpasswd")
    answer = tmp_path / "answer"
    answer.write_text(f"#!/bin/sh\ntouch '{tmp_path}/asked'\necho correct\n")
    answer.chmod(0o700)
    try:
        done = operator.ssh(
            "true",
            options=("-v", "-o", "BatchMode=no", "-o", "PubkeyAuthentication=no"),
            environment={"SSH_ASKPASS": str(answer), "SSH_ASKPASS_REQUIRE": "force"},
        )
    finally:
        bastion.run("usermod", "--lock", "ec2-user")
    assert done.returncode == 255
    offered = re.findall(r"Authentications that can continue: (.*)", done.stderr)
    assert set(offered) == {"publickey"}
    assert not (tmp_path / "asked").exists()


def test_another_key_is_refused(operator: Operator, tmp_path: Path) -> None:
    key = tmp_path / "other"
    make = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key]
    subprocess.run(make, check=True)
    done = Operator(operator.bastion, key, operator.folder).ssh("true")
    assert done.returncode == 255
    assert "Permission denied (publickey)" in done.stderr


@pytest.mark.parametrize("user", ["root", "somebody"])
def test_nobody_else_gets_in_with_the_operators_key(
    bastion: Guest, operator: Operator, user: str
) -> None:
    if user != "root":
        bastion.run("useradd", "--create-home", "--shell", "/bin/bash", user)
    home = bastion.output("sh", "-c", f"echo ~{user}")
    # Without what cloud-init writes before root's key, that it is to be refused.
    keys = f"{home}/.ssh/authorized_keys"
    group = bastion.output("id", "-gn", user)
    bastion.run("install", "-d", "-o", user, "-g", group, "-m", "700", f"{home}/.ssh")
    bastion.run("install", "-o", user, "-m", "600", "/home/ec2-user/.ssh/authorized_keys", keys)
    done = operator.ssh("echo in", user=user)
    assert done.returncode == 255
    assert done.stdout == ""
    assert "Permission denied (publickey)" in done.stderr
