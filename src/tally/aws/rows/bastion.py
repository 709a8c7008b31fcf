"""The bastion: the operator's way in."""

import re
from collections.abc import Iterator
from ipaddress import ip_network
from typing import Final

from tally.aws.account import Account, NotFound, Thing, groups_of
from tally.aws.requirement import Concern, NotApplicable, Seen, present
from tally.aws.rights import SESSION_MANAGER, allowed_actions, machine_role
from tally.aws.rows.network import name_of
from tally.aws.rules import is_range, openings, show

concern = Concern("Bastion")

# What its sshd has to be told.
_SSHD: Final = (
    "PasswordAuthentication no",
    "KbdInteractiveAuthentication no",
    "PermitRootLogin no",
    "AllowAgentForwarding no",
)
# The largest network that one site is likely to have.
_WIDEST: Final = 16


def _bastion(account: Account) -> Thing:
    if len(account.bastions) != 1:
        raise NotFound(f"one machine named {account.name}-bastion (found: {len(account.bastions)})")
    return account.bastions[0]


def _ssh(account: Account) -> list[str]:
    """From where the bastion's groups let anybody in, on whatever port."""
    return [
        f"{opening.peer} on {show(opening)}"
        for group in groups_of(_bastion(account))
        for opening in openings(account.security_groups[group]["IpPermissions"])
    ]


@concern.requires("bastion", "There is one bastion, small, with a public address")
def _stands(account: Account) -> Iterator[Seen]:
    machine = _bastion(account)
    address = machine.get("PublicIpAddress")
    size = machine["InstanceType"].partition(".")[2]
    good = bool(address) and size in ("nano", "micro", "small")
    yield Seen(
        name_of(machine, "InstanceId"), good, f"{machine['InstanceType']} at {address or 'nowhere'}"
    )


@concern.requires("bastion-ssh", "SSH is open to listed addresses only, and nothing else is")
def _ssh_only(account: Account) -> Iterator[Seen]:
    name = name_of(_bastion(account), "InstanceId")
    found = _ssh(account)
    for entry in found:
        peer, _, port = entry.partition(" on ")
        narrow = is_range(peer) and ip_network(peer).prefixlen >= _WIDEST
        yield Seen(name, narrow and port == "22", entry)
    if not found:
        yield Seen(name, True, "closed: Session Manager is the only way in")


@concern.requires("bastion-key", "SSH takes the operator's key")
def _key(account: Account) -> Iterator[Seen]:
    if not _ssh(account):
        raise NotApplicable("SSH is closed")
    machine = _bastion(account)
    key = machine.get("KeyName")
    yield Seen(name_of(machine, "InstanceId"), bool(key), f"KeyName = {key or 'none'}")


@concern.requires("bastion-locked", "SSH allows no password, no root and no agent forwarding")
def _locked(account: Account) -> Iterator[Seen]:
    machine = _bastion(account)
    lines = {line.strip() for line in account.user_data(machine["InstanceId"]).splitlines()}
    yield present(
        name_of(machine, "InstanceId"), set(_SSHD) - lines, f"user data: {'; '.join(_SSHD)}"
    )


@concern.requires("bastion-session-logs", "What sessions show is kept in a log group")
def _session_logs(account: Account) -> Iterator[Seen]:
    machine = _bastion(account)
    group = f"/{account.name}/bastion"
    text = account.user_data(machine["InstanceId"])
    forced = re.search(r"^\s*ForceCommand /usr/local/bin/recorded-session$", text, re.MULTILINE)
    good = forced is not None and f'"{group}"' in text
    yield Seen(
        name_of(machine, "InstanceId"),
        good,
        f"sessions are {'' if good else 'not '}recorded and sent to {group}",
    )


@concern.requires("bastion-session-manager", "The bastion is also reached by Session Manager")
def _session_manager(account: Account) -> Iterator[Seen]:
    profile = _bastion(account).get("IamInstanceProfile", {})
    role = machine_role(account, profile, "the bastion")
    missing = SESSION_MANAGER - allowed_actions(account, role)
    yield present(role, missing, "may open sessions")
