"""Policies."""

import json
from collections.abc import Callable
from typing import Any

from tests.support.mutations.cloud.account import Account


class Access(Account):
    def change_policy(self, policy: str, change: Callable[[list[dict[str, Any]]], None]) -> None:
        """Make a version of a managed policy whose statements differ, and let it be in force."""
        account = self.sts.get_caller_identity()["Account"]
        arn = f"arn:aws:iam::{account}:policy/{self.name}-{policy}"
        version = self.iam.get_policy(PolicyArn=arn)["Policy"]["DefaultVersionId"]
        found = self.iam.get_policy_version(PolicyArn=arn, VersionId=version)["PolicyVersion"]
        before = json.dumps(found["Document"])
        change(found["Document"]["Statement"])
        assert json.dumps(found["Document"]) != before
        self.iam.create_policy_version(
            PolicyArn=arn, PolicyDocument=json.dumps(found["Document"]), SetAsDefault=True
        )

    def allow(self, role: str, action: str, resource: str) -> None:
        """Add a policy to a role."""
        statement = {"Effect": "Allow", "Action": action, "Resource": resource}
        self.iam.put_role_policy(
            RoleName=f"{self.name}-{role}",
            PolicyName="more",
            PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [statement]}),
        )
