"""What the bastion's user data makes of a machine. What differs from the one on AWS stands in
deploy/bastion/README.md.
"""

from tests.support.guests.guest import Guest
from tests.support.guests.operator import Operator
from tests.support.guests.release import PROJECT

SETTINGS = PROJECT / "deploy/bastion/machine/etc/ssh/bastion.conf"


def test_cloud_init_did_all_of_it(bastion: Guest) -> None:
    status = bastion.output("cloud-init", "status", "--long")
    assert "status: done" in status
    for unit in ("sshd", "rsyslog"):
        assert bastion.output("systemctl", "is-enabled", unit) == "enabled"
        assert bastion.output("systemctl", "is-active", unit) == "active"


def test_no_script_of_debians_starts_what_a_unit_starts(bastion: Guest) -> None:
    assert bastion.run("test", "-e", "/run/systemd/generator.late", check=False).returncode == 1


def test_ssh_listens_and_nothing_else_does(bastion: Guest) -> None:
    listening = bastion.output("ss", "--no-header", "--listening", "--tcp", "--udp", "--numeric")
    assert {(line.split()[0], line.split()[4]) for line in listening.splitlines()} == {
        ("tcp", "0.0.0.0:22"),
        ("tcp", "[::]:22"),
    }


def test_there_is_swap_before_packages_are_installed(bastion: Guest) -> None:
    """All but the kernel's use of it, which a container may not ask for."""
    file = bastion.root / "swapfile"
    assert bastion.output("stat", "--format=%s %a %U", "/swapfile") == f"{1 << 30} 600 root"
    with file.open("rb") as content:
        content.seek(4096 - 10)
        assert content.read(10) == b"SWAPSPACE2"
    mounts = [line.split() for line in (bastion.root / "etc/fstab").read_text().splitlines()]
    assert [line[1:3] for line in mounts if line[:1] == ["/swapfile"]] == [["none", "swap"]]
    log = (bastion.root / "var/log/cloud-init.log").read_text()
    asked = [
        log.index(step) for step in ("'mkswap', '/swapfile'", "'swapon', '-a'", "postgresql17")
    ]
    assert asked == sorted(asked)


def test_sshd_has_exactly_the_settings_that_are_promised(bastion: Guest) -> None:
    has = set(bastion.output("sshd", "-T").lower().splitlines())
    promised = [line for line in SETTINGS.read_text().lower().splitlines() if line[0] != "#"]
    assert [line for line in promised if line not in has] == []


def test_the_settings_hold_though_sshd_reads_no_folder_of_them(bastion: Guest) -> None:
    for _ in range(2):
        # As at each start.
        bastion.run("cloud-init", "single", "--name", "bootcmd", "--frequency", "always")
        settings = (bastion.root / "etc/ssh/sshd_config").read_text().splitlines()
        included = [line for line in settings if line.startswith("Include")]
        assert included == settings[:1] == ["Include /etc/ssh/bastion.conf"]


def test_sshd_is_stopped_if_it_has_not_the_settings(bastion: Guest, operator: Operator) -> None:
    settings = bastion.root / "etc/ssh/sshd_config"
    before = settings.read_text()
    settings.write_text(before.replace("Include /etc/ssh/bastion.conf\n", ""))
    try:
        done = bastion.run("/usr/local/bin/set-up", check=False)
        assert done.returncode == 1
        assert "set-up: stopped sshd, which lacks the setting " in done.stderr
        state = bastion.run("systemctl", "is-active", "sshd", check=False).stdout.strip()
        assert state == "inactive"
        enabled = bastion.run("systemctl", "is-enabled", "sshd", check=False).stdout.strip()
        assert enabled == "disabled"
        assert operator.ssh("true").returncode == 255
    finally:
        settings.write_text(before)
        bastion.run("systemctl", "enable", "--now", "sshd")
        bastion.run("/usr/local/bin/set-up")
    assert operator.ssh("true").returncode == 0
