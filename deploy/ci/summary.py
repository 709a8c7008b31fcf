"""A plan as a page for the person who approves it."""

import re
from typing import Any

from deploy.ci import database
from deploy.ci.facts import Facts

# GitHub's limit for a summary is 1 MiB; the rest of the page needs far less than the difference.
LONGEST_DESCRIPTION = 900_000

_ACTIONS = {
    ("create",): "create",
    ("update",): "change",
    ("delete",): "**destroy**",
    ("delete", "create"): "**replace**",
    ("create", "delete"): "**replace**",
    ("forget",): "forget",
}


def summarise(plan: dict[str, Any], facts: Facts, release: dict[str, Any]) -> str:
    """Markdown: the facts, and a row for each resource that changes, without values."""
    changes = [
        change
        for change in plan.get("resource_changes", [])
        if tuple(change["change"]["actions"]) in _ACTIONS
    ]
    lines = [
        f"## Plan for {facts.environment}",
        "",
        "| what is approved | |",
        "| --- | --- |",
        f"| release | `{release['version']}` |",
        f"| commit of the configuration | `{facts.commit}` |",
        f"| SHA-256 of the plan | `{facts.plan_sha256}` |",
        f"| SHA-256 of the provider lock file | `{facts.lock_sha256}` |",
        f"| state | serial {facts.state_serial}, lineage `{facts.state_lineage or 'none yet'}` |",
        "",
    ]
    if lost := database.lost(plan):
        names = ", ".join(f"`{address}`" for address in lost)
        lines += [
            f"> [!CAUTION]\n> This plan destroys or replaces what holds the data: {names}.",
            "",
        ]
    outputs = [
        name
        for name, change in plan.get("output_changes", {}).items()
        if change["actions"] != ["no-op"]
    ]
    if not changes:
        lines.append("No resource changes.")
    else:
        lines += ["| | resource | because of |", "| --- | --- | --- |"]
        lines += [
            f"| {_ACTIONS[tuple(change['change']['actions'])]} | `{change['address']}` |"
            f" {_reasons(change['change'])} |"
            for change in changes
        ]
    if outputs:
        lines += ["", "Outputs that change: " + ", ".join(f"`{name}`" for name in outputs) + "."]
    return "\n".join(lines) + "\n"


def details(description: str) -> str:
    """Terraform's own description, folded."""
    if len(description) > LONGEST_DESCRIPTION:
        description = description[:LONGEST_DESCRIPTION] + "\n... the rest is in this step's log."
    longest = max((len(run) for run in re.findall("`+", description)), default=0)
    fence = "`" * max(3, longest + 1)
    return (
        f"\n<details><summary>Terraform's description</summary>\n\n"
        f"{fence}\n{description.strip()}\n{fence}\n\n</details>\n"
    )


def _reasons(change: dict[str, Any]) -> str:
    """The attributes that change or, for a replacement, those that force it."""
    if forced := change.get("replace_paths"):
        names = {str(path[0]) for path in forced}
    elif change["actions"] == ["update"]:
        before, after = change["before"] or {}, change["after"] or {}
        unknown = change.get("after_unknown") or {}
        names = {
            name
            for name in before.keys() | after.keys() | unknown.keys()
            if before.get(name) != after.get(name) or unknown.get(name) is True
        }
    else:
        names = set()
    return ", ".join(f"`{name}`" for name in sorted(names))
