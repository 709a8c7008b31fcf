"""Where the load balancer sends requests, by their paths."""

import jmespath

from tally.aws.inventory import Inventory
from tally.aws.inventory.resources import Resource


def paths(aws: Inventory) -> dict[str, str]:
    """Which service gets the requests for each path pattern; the first rule that fits decides."""
    found: dict[str, str] = {}
    for listener in aws.elbv2.listeners:
        for rule in aws.elbv2.rules(listener["ListenerArn"]):
            for pattern in _path_patterns(rule):
                found.setdefault(pattern, _rule_target(aws, rule))
    return found


def values(condition: Resource) -> list[str]:
    """What a rule's condition compares with, in either of the API's two spellings."""
    given = [it["Values"] for name, it in condition.items() if name.endswith("Config")]
    return list(given[0] if given else condition["Values"])


def target_groups(action: Resource) -> set[str]:
    """The ARNs of the target groups that an action forwards to."""
    path = "[[TargetGroupArn], ForwardConfig.TargetGroups[].TargetGroupArn][][]"
    return set(jmespath.search(path, action))


def _path_patterns(rule: Resource) -> list[str]:
    """The path patterns of a rule that has no other condition."""
    match rule["Conditions"]:
        case [{"Field": "path-pattern"} as condition]:
            return values(condition)
    return []


def _rule_target(aws: Inventory, rule: Resource) -> str:
    """The short name of the service that a rule forwards to, or what else it does."""
    action = rule["Actions"][-1]
    if action["Type"] != "forward":
        return str(action["Type"])
    return " and ".join(sorted({_owner(aws, arn) for arn in target_groups(action)}))


def _owner(aws: Inventory, target_group: str) -> str:
    """Whose targets a target group holds: read from who registers there, not from its name."""
    if target_group in aws.autoscaling.adder_group.get("TargetGroupARNs", []):
        return "adder"
    for name, service in aws.ecs.services.items():
        if any(it.get("targetGroupArn") == target_group for it in service["loadBalancers"]):
            return name
    return target_group.rpartition(":")[2]
