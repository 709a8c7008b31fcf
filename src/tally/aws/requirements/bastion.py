"""The bastion: the operator's way in."""

import json
import re
from collections.abc import Iterator
from ipaddress import ip_network
from typing import Final

from tally.aws.iam_policies import SESSION_MANAGER, allowed_actions, machine_role
from tally.aws.inventory import Inventory
from tally.aws.inventory.resources import NotFound, Resource, groups_of
from tally.aws.requirement import Concern, Evidence, NotApplicable, equal, present
from tally.aws.requirements.network import name_of
from tally.aws.security_groups import is_range, openings, show
from tally.aws.user_data import no_secret, written

concern = Concern("Bastion")

# What its sshd has to be told.
_SSHD: Final = {
    "AuthenticationMethods": "publickey",
    "AuthorizedKeysCommand": "none",
    "PasswordAuthentication": "no",
    "KbdInteractiveAuthentication": "no",
    "PermitRootLogin": "no",
    "AllowUsers": "ec2-user",
    "AllowAgentForwarding": "no",
    "AllowTcpForwarding": "no",
    "AllowStreamLocalForwarding": "no",
    "X11Forwarding": "no",
    "PermitTunnel": "no",
    "PermitUserRC": "no",
}
# Where, on the machine.
_SETTINGS: Final = "/etc/ssh/bastion.conf"
_RECORDS: Final = "/var/log/sessions/*.log"
_LOGINS: Final = "/var/log/secure"
# The largest network that one site is likely to have.
_WIDEST: Final = 16


def _bastion(aws: Inventory) -> Resource:
    if len(aws.ec2.bastions) != 1:
        raise NotFound(f"one machine named {aws.name}-bastion (found: {len(aws.ec2.bastions)})")
    return aws.ec2.bastions[0]


def _ssh(aws: Inventory) -> list[str]:
    """From where the bastion's groups let anybody in, on whatever port."""
    return [
        f"{opening.peer} on {show(opening)}"
        for group in groups_of(_bastion(aws))
        for opening in openings(aws.ec2.security_groups[group]["IpPermissions"])
    ]


@concern.requires("bastion", "There is one bastion, small, with a public address")
def _stands(aws: Inventory) -> Iterator[Evidence]:
    machine = _bastion(aws)
    address = machine.get("PublicIpAddress")
    size = machine["InstanceType"].partition(".")[2]
    good = bool(address) and size in ("nano", "micro", "small")
    yield Evidence(
        name_of(machine, "InstanceId"), good, f"{machine['InstanceType']} at {address or 'nowhere'}"
    )


@concern.requires("bastion-ssh", "SSH is open to listed addresses only, and nothing else is")
def _ssh_only(aws: Inventory) -> Iterator[Evidence]:
    name = name_of(_bastion(aws), "InstanceId")
    found = _ssh(aws)
    for entry in found:
        peer, _, port = entry.partition(" on ")
        narrow = is_range(peer) and ip_network(peer).prefixlen >= _WIDEST
        yield Evidence(name, narrow and port == "22", entry)
    if not found:
        yield Evidence(name, True, "closed: Session Manager is the only way in")


@concern.requires("bastion-key", "SSH takes the operator's key")
def _key(aws: Inventory) -> Iterator[Evidence]:
    if not _ssh(aws):
        raise NotApplicable("SSH is closed")
    machine = _bastion(aws)
    key = machine.get("KeyName")
    yield Evidence(name_of(machine, "InstanceId"), bool(key), f"KeyName = {key or 'none'}")


def _settings(user_data: str) -> dict[str, str]:
    """Return what sshd is told, by keyword: the first of several counts."""
    found: dict[str, str] = {}
    for line in written(user_data, _SETTINGS).splitlines():
        keyword, _, value = line.partition(" ")
        found.setdefault(keyword.lower(), value)
    return found


@concern.requires("bastion-user-data", "The bastion's user data holds no secret")
def _user_data(aws: Inventory) -> Iterator[Evidence]:
    machine = _bastion(aws)
    yield no_secret(name_of(machine, "InstanceId"), aws.ec2.user_data(machine["InstanceId"]))


@concern.requires("bastion-locked", "SSH allows no password, no root and no forwarding")
def _locked(aws: Inventory) -> Iterator[Evidence]:
    machine = _bastion(aws)
    name = name_of(machine, "InstanceId")
    text = aws.ec2.user_data(machine["InstanceId"])
    told = _settings(text)
    missing = {
        f"{keyword} {value}"
        for keyword, value in _SSHD.items()
        if told.get(keyword.lower()) != value
    }
    yield present(name, missing, f"{_SETTINGS}: {', '.join(_SSHD)}")
    # Amazon Linux's sshd reads what its own file includes, and of two values the first.
    first = f"sed -i '1i Include {_SETTINGS}' /etc/ssh/sshd_config" in text
    yield Evidence(name, first, f"{_SETTINGS} is {'' if first else 'not '}what sshd reads first")


@concern.requires("bastion-session-logs", "What sessions show, and logins, are kept in a log group")
def _session_logs(aws: Inventory) -> Iterator[Evidence]:
    machine = _bastion(aws)
    name = name_of(machine, "InstanceId")
    group = f"/{aws.name}/bastion"
    text = aws.ec2.user_data(machine["InstanceId"])
    forced = _settings(text).get("forcecommand") == "/usr/local/bin/recorded-session"
    kept = all(
        written(text, f"/usr/local/bin/{script}") for script in ("recorded-session", "keep-session")
    )
    yield Evidence(
        name, forced and kept, f"sessions are {'' if forced and kept else 'not '}recorded"
    )
    sent = _sent(text, group)
    for file in (_RECORDS, _LOGINS):
        yield Evidence(
            name, file in sent, f"{file} is {'' if file in sent else 'not '}sent to {group}"
        )
    writer = re.search(r"^  - rsyslog$", text, re.MULTILINE) is not None
    yield Evidence(name, writer, f"rsyslog is {'' if writer else 'not '}there to write {_LOGINS}")


def _sent(user_data: str, group: str) -> set[str]:
    """Return the files that the agent is to send all of to this group."""
    try:
        told = json.loads(written(user_data, "/etc/tally/cloudwatch-agent.json"))
    except ValueError:
        # The agent takes none of it either.
        return set()
    return {
        entry["file_path"]
        for entry in told["logs"]["logs_collected"]["files"]["collect_list"]
        # Of several files that fit it follows one, unless it is told otherwise.
        if entry["log_group_name"] == group
        and ("*" not in entry["file_path"] or entry.get("publish_multi_logs"))
    }


# Minutes; Session Manager takes no other values.
_IDLE: Final = range(1, 61)


@concern.requires(
    "bastion-session-document",
    "Session Manager's sessions are kept as they go, encrypted, and end when idle",
)
def _session_document(aws: Inventory) -> Iterator[Evidence]:
    name = f"{aws.name}-session"
    told = aws.ssm.document(name).get("inputs", {})
    group = f"/{aws.name}/bastion"
    yield equal(name, "cloudWatchLogGroupName", told.get("cloudWatchLogGroupName"), group)
    for setting in ("cloudWatchEncryptionEnabled", "cloudWatchStreamingEnabled"):
        yield equal(name, setting, told.get(setting), wanted=True)
    idle = str(told.get("idleSessionTimeout", ""))
    good = idle.isdecimal() and int(idle) in _IDLE
    yield Evidence(name, good, f"idleSessionTimeout = {idle or 'none'}{' minutes' if good else ''}")


@concern.requires("bastion-session-manager", "The bastion is also reached by Session Manager")
def _session_manager(aws: Inventory) -> Iterator[Evidence]:
    profile = _bastion(aws).get("IamInstanceProfile", {})
    role = machine_role(aws, profile, "the bastion")
    missing = SESSION_MANAGER - allowed_actions(aws, role)
    yield present(role, missing, "may open sessions")
