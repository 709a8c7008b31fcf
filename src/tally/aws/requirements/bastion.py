"""The bastion: the operator's way in."""

import json
import re
from collections.abc import Iterator
from ipaddress import ip_network
from typing import Final

from tally.aws.iam_policies import SESSION_MANAGER, allowed_actions, machine_role
from tally.aws.inventory import SERVICES, Inventory
from tally.aws.inventory.resources import Resource, groups_of, name_of, tags_of, the_one
from tally.aws.predicates import given, includes, matches
from tally.aws.reachability import parties
from tally.aws.requirement import Concern, Evidence, NotApplicable, Verdict, verdict
from tally.aws.security_groups import Opening, is_range, openings, show
from tally.aws.user_data import directives, no_secret, written

concern = Concern("Bastion")
requires = concern.requires

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
_LOGINS: Final = "/var/log/secure"
# Amazon Linux's sshd reads what its own file includes, and of two values the first.
_INCLUDE: Final = f"sed -i '1i Include {_SETTINGS}' /etc/ssh/sshd_config"
_SMALL: Final = re.compile(r"\.(nano|micro|small)$")
# Session Manager takes no other values.
_MINUTES: Final = re.compile(r"^([1-9]|[1-5]\d|60)$")
# The largest network that one site is likely to have.
_WIDEST: Final = 16


def _machine(aws: Inventory) -> Iterator[tuple[str, Resource]]:
    machine = the_one(aws.ec2.bastions, f"machine named {aws.name}-bastion")
    text = aws.ec2.user_data(machine["InstanceId"])
    yield name_of(machine, "InstanceId"), {**machine, "UserData": text}


def _document(aws: Inventory) -> Iterator[tuple[str, Resource]]:
    name = f"{aws.name}-session"
    yield name, aws.ssm.document(name).get("inputs", {})


def _openings(aws: Inventory) -> list[Opening]:
    """From where the bastion's groups let anybody in, but for what it is to forward."""
    ((_, machine),) = _machine(aws)
    groups = [aws.ec2.security_groups[it] for it in groups_of(machine)]
    everybody = parties(aws) if aws.out_by_bastion else []
    users = [party for party in everybody if party.name in SERVICES]
    forwarded = {(group, "443") for party in users for group in party.groups}
    found = [it for group in groups for it in openings(group["IpPermissions"])]
    return [it for it in found if (it.peer, show(it)) not in forwarded]


_stands = requires("bastion", "There is one bastion, small, with a public address")
_stands.field(_machine, "InstanceType", matches(_SMALL, "small"))
_stands.field(_machine, "PublicIpAddress", given)


@requires("bastion-ssh", "SSH is open to listed addresses only, and nothing else is")
def _ssh(aws: Inventory) -> Iterator[Evidence]:
    ((name, _),) = _machine(aws)
    found = _openings(aws)
    for it in found:
        narrow = is_range(it.peer) and ip_network(it.peer).prefixlen >= _WIDEST
        yield Evidence(name, narrow and show(it) == "22", str(it))
    if not found:
        yield Evidence(name, True, "closed: Session Manager is the only way in")


def _reached_by_ssh(aws: Inventory) -> Iterator[tuple[str, Resource]]:
    if not _openings(aws):
        raise NotApplicable("SSH is closed")
    return _machine(aws)


requires("bastion-key", "SSH takes the operator's key").field(_reached_by_ssh, "KeyName", given)


@requires("bastion-user-data", "The bastion's user data holds no secret").each(_machine)
def _user_data(_: Inventory, machine: Resource) -> Verdict:
    return no_secret(machine["UserData"])


def _settings(user_data: str) -> dict[str, str]:
    """Return what sshd is told, by keyword: the first of several counts."""
    found: dict[str, str] = {}
    for line in written(user_data, _SETTINGS).splitlines():
        keyword, _, value = line.partition(" ")
        found.setdefault(keyword.lower(), value)
    return found


def _told(_: Inventory, machine: Resource) -> list[str]:
    told = _settings(machine["UserData"])
    return [f"{keyword} {told[keyword.lower()]}" for keyword in _SSHD if keyword.lower() in told]


_locked = requires("bastion-locked", "SSH allows no password, no root and no forwarding")
_locked.field(_machine, _told, includes([f"{it} {_SSHD[it]}" for it in _SSHD]), _SETTINGS)
_locked.field(
    _machine, lambda _, it: _INCLUDE in it["UserData"], True, f"{_SETTINGS} is read first"
)


def _recorded(_: Inventory, machine: Resource) -> bool:
    text = machine["UserData"]
    forced = _settings(text).get("forcecommand") == "/usr/local/bin/recorded-session"
    scripts = ("/usr/local/bin/recorded-session", "/usr/local/bin/keep-session")
    return forced and all(written(text, it) for it in scripts)


def _sent(aws: Inventory, machine: Resource) -> list[str]:
    """Return the files that the agent is to send all of to the bastion's log group."""
    try:
        told = json.loads(written(machine["UserData"], "/etc/tally/cloudwatch-agent.json"))
    except ValueError:
        # The agent takes none of it either.
        return []
    return [
        entry["file_path"]
        for entry in told["logs"]["logs_collected"]["files"]["collect_list"]
        # Of several files that fit it follows one, unless it is told otherwise.
        if entry["log_group_name"] == f"/{aws.name}/bastion"
        and ("*" not in entry["file_path"] or entry.get("publish_multi_logs"))
    ]


# All that its rules let through. The rest of what it could forward is dropped.
_FORWARDED: Final = "ip saddr $private_subnets tcp dport 443"
_RULES: Final = [
    "type filter hook forward priority filter; policy drop;",
    "ct state established,related accept",
    f"{_FORWARDED} accept",
    "type nat hook postrouting priority srcnat;",
    f"{_FORWARDED} masquerade",
    "type filter hook output priority filter;",
    "icmp type redirect drop",
]
# The rules first: there is no moment in which anything else is forwarded.
_FORWARDS: Final = [
    "/usr/sbin/nft --file /etc/tally/way-out.nft",
    "/usr/sbin/sysctl --quiet --write net.ipv4.ip_forward=1",
]


@requires(
    "bastion-forwards",
    "The bastion forwards nothing, or as the way out to port 443 from the private subnets alone",
).each(_machine)
def _forwards(aws: Inventory, machine: Resource) -> Verdict:
    checked, text = machine["SourceDestCheck"], machine["UserData"]
    if not aws.out_by_bastion:
        good = checked and "ip_forward" not in text
        return good, "forwards nothing" if good else "may forward"
    rules = re.findall(r"^ {8}(\S.*)$", written(text, "/etc/tally/way-out.nft"), re.MULTILINE)
    subnets = written(text, "/etc/tally/private-subnets.nft")
    private = [it["CidrBlock"] for it in aws.ec2.subnets.values() if _is_private(it)]
    unit = directives(written(text, "/etc/systemd/system/way-out.service"))
    wrong = [
        what
        for what, good in {
            "AWS drops what it would forward": not checked,
            "the rules are others": rules == _RULES,
            f"forwards from others than {', '.join(private)}": sorted(private)
            == sorted(re.findall(r"[\d./]+", subnets)),
            "the rules do not come first": unit.get("ExecStart") == _FORWARDS,
            "no start begins it": "way-out.service]" in text and "WantedBy" in unit,
        }.items()
        if not good
    ]
    return not wrong, "; ".join(wrong) or f"forwards to 443 from {', '.join(private)}"


def _is_private(subnet: Resource) -> bool:
    return tags_of(subnet).get("Tier") == "private"


_logs = requires("bastion-session-logs", "What sessions show, and logins, are kept in a log group")
_logs.field(_machine, _recorded, True, "sessions are recorded")
_logs.field(_machine, _sent, includes({"/var/log/sessions/*.log", _LOGINS}), "sent to the group")
_logs.field(_machine, "contains(UserData, '\n  - rsyslog\n')", True, f"rsyslog writes {_LOGINS}")

_sessions = requires(
    "bastion-session-document",
    "Session Manager's sessions are kept as they go, encrypted, and end when idle",
)
_sessions.field(_document, "cloudWatchEncryptionEnabled", True)
_sessions.field(_document, "cloudWatchStreamingEnabled", True)
_sessions.field(_document, "to_string(idleSessionTimeout)", matches(_MINUTES, "1 to 60 minutes"))


@_sessions.each(_document)
def _log_group(aws: Inventory, document: Resource) -> Verdict:
    group = document.get("cloudWatchLogGroupName")
    return verdict("cloudWatchLogGroupName", group, f"/{aws.name}/bastion")


def _for_sessions(aws: Inventory, machine: Resource) -> list[str]:
    role = machine_role(aws, machine.get("IamInstanceProfile", {}), "the bastion")
    return sorted(SESSION_MANAGER & allowed_actions(aws, role))


requires("bastion-session-manager", "The bastion is also reached by Session Manager").field(
    _machine, _for_sessions, includes(SESSION_MANAGER), "allowed"
)
