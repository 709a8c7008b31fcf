"""Resources as AWS describes them, and how to read what has several spellings."""

import json
from collections.abc import Iterable
from typing import Any
from urllib.parse import unquote

# As AWS documents its answers; their shapes are botocore's own.
Resource = dict[str, Any]


class NotFound(Exception):
    """A resource that every deployment has is missing; the message names it."""


def the_one(resources: Iterable[Resource], wanted: str) -> Resource:
    """Take the only one; raises NotFound."""
    found = list(resources)
    if len(found) != 1:
        raise NotFound(f"one {wanted} (found: {len(found)})")
    return found[0]


def tags_of(resource: Resource) -> dict[str, str]:
    """Read tags in whichever of AWS's spellings they come."""
    listed = resource.get("Tags") or resource.get("tags") or resource.get("TagList") or []
    if isinstance(listed, dict):
        return listed
    return {(it.get("Key") or it["key"]): it.get("Value", it.get("value", "")) for it in listed}


def name_of(resource: Resource, key: str) -> str:
    """What stands under a key, with the name that the console shows if that is another."""
    found, name = str(resource[key]), tags_of(resource).get("Name")
    return f"{found} ({name})" if name and name != found else found


def groups_of(instance: Resource) -> list[str]:
    """List the security groups of a machine: its own, and those of its network interfaces."""
    cards = instance.get("NetworkInterfaces", [])
    listed = [*instance["SecurityGroups"], *(it for card in cards for it in card["Groups"])]
    return sorted({it["GroupId"] for it in listed})


def statements(document: Resource) -> list[Resource]:
    """Read a policy's statements, each with lists where AWS also takes a single text."""
    listed = document["Statement"]
    return [
        {
            **statement,
            **{
                key: [statement[key]] if isinstance(statement[key], str) else statement[key]
                for key in ("Action", "NotAction", "Resource", "NotResource")
                if key in statement
            },
        }
        for statement in (listed if isinstance(listed, list) else [listed])
    ]


def policy_document(policy: Resource | str) -> Resource:
    """Read a policy, which some calls give as URL-encoded JSON."""
    return json.loads(unquote(policy)) if isinstance(policy, str) else policy
