"""The bastion: the operator's way in."""

import json
import re
from collections.abc import Iterable, Iterator
from ipaddress import ip_network
from typing import Final

from tally.aws.iam_policies import SESSION_MANAGER, allowed_actions, machine_role
from tally.aws.inventory import Inventory
from tally.aws.inventory.resources import NotFound, Resource, groups_of
from tally.aws.predicates import given, includes, matches
from tally.aws.requirement import Concern, Evidence, NotApplicable, Verdict, named, verdict
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
_RECORDERS: Final = ("recorded-session", "keep-session")
_SMALL: Final = re.compile(r"\.(nano|micro|small)$")
# Session Manager takes no other values.
_MINUTES: Final = re.compile(r"^([1-9]|[1-5]\d|60)$")
# The largest network that one site is likely to have.
_WIDEST: Final = 16


def _bastion(aws: Inventory) -> Resource:
    if len(aws.ec2.bastions) != 1:
        raise NotFound(f"one machine named {aws.name}-bastion (found: {len(aws.ec2.bastions)})")
    return aws.ec2.bastions[0]


_machine = named("InstanceId", lambda aws: [_bastion(aws)])


def _document(aws: Inventory) -> list[tuple[str, Resource]]:
    name = f"{aws.name}-session"
    inputs = aws.ssm.document(name).get("inputs", {})
    return [(name, {**inputs, "LogGroup": f"/{aws.name}/bastion"})]


def _ssh(aws: Inventory) -> list[str]:
    """From where the bastion's groups let anybody in, on whatever port."""
    return [
        f"{opening.peer} on {show(opening)}"
        for group in groups_of(_bastion(aws))
        for opening in openings(aws.ec2.security_groups[group]["IpPermissions"])
    ]


_stands = concern.requires("bastion", "There is one bastion, small, with a public address")
_stands.field(_machine, "InstanceType", matches(_SMALL, "small"))
_stands.field(_machine, "PublicIpAddress", given)


@concern.requires("bastion-ssh", "SSH is open to listed addresses only, and nothing else is")
def _ssh_only(aws: Inventory) -> Iterator[Evidence]:
    ((name, _),) = _machine(aws)
    found = _ssh(aws)
    for entry in found:
        peer, _, port = entry.partition(" on ")
        narrow = is_range(peer) and ip_network(peer).prefixlen >= _WIDEST
        yield Evidence(name, narrow and port == "22", entry)
    if not found:
        yield Evidence(name, True, "closed: Session Manager is the only way in")


def _reached_by_ssh(aws: Inventory) -> Iterable[tuple[str, Resource]]:
    if not _ssh(aws):
        raise NotApplicable("SSH is closed")
    return _machine(aws)


concern.requires("bastion-key", "SSH takes the operator's key").field(
    _reached_by_ssh, "KeyName", given
)


def _settings(user_data: str) -> dict[str, str]:
    """Return what sshd is told, by keyword: the first of several counts."""
    found: dict[str, str] = {}
    for line in written(user_data, _SETTINGS).splitlines():
        keyword, _, value = line.partition(" ")
        found.setdefault(keyword.lower(), value)
    return found


@concern.requires("bastion-user-data", "The bastion's user data holds no secret").each(_machine)
def _user_data(aws: Inventory, machine: Resource) -> Verdict:
    return no_secret(aws.ec2.user_data(machine["InstanceId"]))


_locked = concern.requires("bastion-locked", "SSH allows no password, no root and no forwarding")


@_locked.each(_machine)
def _sshd(aws: Inventory, machine: Resource) -> Verdict:
    told = _settings(aws.ec2.user_data(machine["InstanceId"]))
    found = [f"{keyword} {told[keyword.lower()]}" for keyword in _SSHD if keyword.lower() in told]
    wanted = [f"{keyword} {value}" for keyword, value in _SSHD.items()]
    return verdict(_SETTINGS, found, includes(wanted))


@_locked.each(_machine)
def _read_first(aws: Inventory, machine: Resource) -> Verdict:
    # Amazon Linux's sshd reads what its own file includes, and of two values the first.
    include = f"sed -i '1i Include {_SETTINGS}' /etc/ssh/sshd_config"
    first = include in aws.ec2.user_data(machine["InstanceId"])
    return first, f"{_SETTINGS} is {'' if first else 'not '}what sshd reads first"


@concern.requires("bastion-session-logs", "What sessions show, and logins, are kept in a log group")
def _session_logs(aws: Inventory) -> Iterator[Evidence]:
    for name, machine in _machine(aws):
        text = aws.ec2.user_data(machine["InstanceId"])
        forced = _settings(text).get("forcecommand") == "/usr/local/bin/recorded-session"
        scripts = [written(text, f"/usr/local/bin/{it}") for it in _RECORDERS]
        sent = _sent(text, f"/{aws.name}/bastion")
        writer = re.search(r"^  - rsyslog$", text, re.MULTILINE) is not None
        for good, what in (
            (forced and all(scripts), "recording sessions"),
            (_RECORDS in sent, f"sending {_RECORDS} to /{aws.name}/bastion"),
            (_LOGINS in sent, f"sending {_LOGINS} to /{aws.name}/bastion"),
            (writer, f"rsyslog, which writes {_LOGINS}"),
        ):
            yield Evidence(name, good, f"{what}: {'yes' if good else 'no'}")


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


_session_document = concern.requires(
    "bastion-session-document",
    "Session Manager's sessions are kept as they go, encrypted, and end when idle",
)
_session_document.field(_document, "cloudWatchLogGroupName == LogGroup", True, "to the log group")
_session_document.field(_document, "cloudWatchEncryptionEnabled", True)
_session_document.field(_document, "cloudWatchStreamingEnabled", True)
_session_document.field(
    _document, "to_string(idleSessionTimeout)", matches(_MINUTES, "1 to 60 minutes")
)


@concern.requires("bastion-session-manager", "The bastion is also reached by Session Manager").each(
    _machine
)
def _session_manager(aws: Inventory, machine: Resource) -> Verdict:
    role = machine_role(aws, machine.get("IamInstanceProfile", {}), "the bastion")
    found = sorted(SESSION_MANAGER & allowed_actions(aws, role))
    return verdict(f"role {role}", found, includes(SESSION_MANAGER))
