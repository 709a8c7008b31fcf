"""The machines before their user data, each as much like Amazon Linux as a Debian can be.

The differences that are left stand in deploy/adder/README.md and deploy/bastion/README.md.
"""

from pathlib import Path

from tests.support.guests.guest import Image

_BOTH = (
    "awscli",
    "ca-certificates",
    "cloud-init",
    "dbus",
    "iproute2",
    "procps",
    "python3",
    # Needed by python3-cryptography under another name; debootstrap knows packages by one only.
    "python3-cffi-backend",
    "systemd-sysv",
)

ADDER = Image(
    name="adder",
    packages=(*_BOTH, "logrotate"),
    stand_ins=("amazon-cloudwatch-agent",),
    # No SSH server is there to be set up.
    settings={"ssh_genkeytypes": []},
)


def _like_amazons(root: Path) -> None:
    """Undo what Debian does and Amazon Linux does not, or does under another name."""
    # The service's name.
    units = root / "lib/systemd/system"
    (units / "ssh.service").rename(units / "sshd.service")
    for link in ("multi-user.target.wants/ssh.service", "sshd.service"):
        (root / "etc/systemd/system" / link).unlink()
    (root / "etc/systemd/system/multi-user.target.wants/sshd.service").symlink_to(
        "/lib/systemd/system/sshd.service"
    )
    # The folder of settings that sshd reads first.
    settings = root / "etc/ssh/sshd_config"
    text = settings.read_text()
    changed = text.replace("\nInclude /etc/ssh/sshd_config.d/*.conf\n", "\n")
    assert changed != text
    settings.write_text(changed)
    # The name of the file that logins are written to.
    settings = root / "etc/rsyslog.conf"
    text = settings.read_text()
    changed = text.replace("/var/log/auth.log", "/var/log/secure")
    assert changed != text
    settings.write_text(changed)
    # Installed, and not enabled before the user data asks for it.
    for link in ("multi-user.target.wants/rsyslog.service", "syslog.service"):
        (root / "etc/systemd/system" / link).unlink()


BASTION = Image(
    name="bastion",
    # The last is for sshd: without it, it would forward no display whatever it is told.
    packages=(
        *(*_BOTH, "nftables", "openssh-server", "postgresql-client", "rsyslog", "sudo"),
        "xauth",
    ),
    stand_ins=("amazon-cloudwatch-agent", "postgresql17"),
    settings={
        "ssh_genkeytypes": ["ed25519", "ecdsa"],
        # The user of Amazon's image, with the rights that it has there.
        "system_info": {
            "ssh_svcname": "sshd",
            "default_user": {
                "name": "ec2-user",
                "lock_passwd": True,
                "gecos": "EC2 Default User",
                "groups": ["wheel", "adm", "systemd-journal"],
                "sudo": ["ALL=(ALL) NOPASSWD:ALL"],
                "shell": "/bin/bash",
            },
        },
    },
    change=_like_amazons,
)
