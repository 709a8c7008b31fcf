"""What roles may do."""

from fnmatch import fnmatchcase
from typing import Final

from tally.aws.inventory import Inventory
from tally.aws.inventory.resources import NotFound, Resource

# Session Manager's agent needs these; see the AWS documentation on minimal permissions for it.
SESSION_MANAGER: Final = {
    "ssm:UpdateInstanceInformation",
    "ssmmessages:CreateControlChannel",
    "ssmmessages:CreateDataChannel",
    "ssmmessages:OpenControlChannel",
    "ssmmessages:OpenDataChannel",
}


def machine_role(aws: Inventory, profile: Resource, machine: str) -> str:
    """The role of a machine's instance profile, which is given by ARN or by name."""
    given = profile.get("Arn") or profile.get("Name")
    if not given:
        raise NotFound(f"instance profile of {machine}")
    return aws.iam.instance_profile_role(given)


def adder_role(aws: Inventory) -> str:
    """The role of the adder's machines."""
    data = aws.ec2.adder_template["LaunchTemplateData"]
    return machine_role(aws, data.get("IamInstanceProfile", {}), "the adder")


def allowing(aws: Inventory, role: str) -> list[Resource]:
    """The statements that allow a role something."""
    policies = aws.iam.roles[role]["Policies"].values()
    return [it for policy in policies for it in policy if it["Effect"] == "Allow"]


def allowed_actions(aws: Inventory, role: str) -> set[str]:
    """The actions that a role is allowed, on whatever; NotAction if it allows all but some."""
    allowed = [statement.get("Action", ["NotAction"]) for statement in allowing(aws, role)]
    return {action for actions in allowed for action in actions}


def covers(pattern: str, name: str) -> bool:
    """Whether a pattern of IAM, with * and ?, stands for a name, or for all that another does."""
    return fnmatchcase(name, pattern)


def denied(found: list[Resource], action: str, resource: str) -> bool:
    """Whether statements deny an action on a resource, whatever the circumstances."""
    return any(
        any(covers(pattern.lower(), action.lower()) for pattern in statement.get("Action", []))
        and any(covers(pattern, resource) for pattern in statement.get("Resource", []))
        for statement in found
        if statement["Effect"] == "Deny" and "Condition" not in statement
    )
