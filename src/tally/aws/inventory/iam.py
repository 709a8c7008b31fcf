"""IAM: roles, policies, users and identity providers."""

from functools import cache, cached_property
from typing import cast

from tally.aws.inventory.resources import Resource, policy_document, statements
from tally.aws.inventory.service import Service, listed


class IAM(Service):
    api = "iam"
    users = listed("list_users", "Users", "UserName")

    @cached_property
    def roles(self) -> dict[str, Resource]:
        """Roles by name; `Policies` are all their statements by policy."""
        found = self.all("list_roles", "Roles")
        return {
            role["RoleName"]: {**role, "Policies": self._role_policies(role["RoleName"])}
            for role in self.own(found, "RoleName")
        }

    def _role_policies(self, role: str) -> dict[str, list[Resource]]:
        policies: dict[str, list[Resource]] = {}
        inline = self.all("list_role_policies", "PolicyNames", RoleName=role)
        for name in cast("list[str]", inline):
            answer = self.client.get_role_policy(RoleName=role, PolicyName=name)
            policies[name] = statements(policy_document(answer["PolicyDocument"]))
        attached = self.all("list_attached_role_policies", "AttachedPolicies", RoleName=role)
        for policy in attached:
            policies[policy["PolicyArn"]] = self._managed_policy(policy["PolicyArn"])
        return policies

    @cache  # noqa: B019 - an account lives as long as the command
    def role(self, name: str) -> Resource:
        """A role with its tags and its boundary, which a list of roles leaves out."""
        return cast("Resource", self.client.get_role(RoleName=name)["Role"])

    def boundary(self, role: str) -> str | None:
        bound = self.role(role).get("PermissionsBoundary", {}).get("PermissionsBoundaryArn")
        return str(bound) if bound else None

    @cache  # noqa: B019 - an account lives as long as the command
    def _managed_policy(self, arn: str) -> list[Resource]:
        version = self.client.get_policy(PolicyArn=arn)["Policy"]["DefaultVersionId"]
        answer = self.client.get_policy_version(PolicyArn=arn, VersionId=version)
        return statements(policy_document(answer["PolicyVersion"]["Document"]))

    @cached_property
    def own_policies(self) -> dict[str, list[Resource]]:
        """Statements of every policy that the deployment brings, by role and policy or by ARN."""
        policies = {
            f"{role} / {name}": found
            for role, described in self.roles.items()
            for name, found in described["Policies"].items()
            if not name.startswith("arn:")
        }
        made = self.all("list_policies", "Policies", Scope="Local")
        for policy in self.own(made, "PolicyName"):
            policies[policy["Arn"]] = self._managed_policy(policy["Arn"])
        return policies

    def instance_profile_role(self, profile: str) -> str:
        """The role of an instance profile, which is given by ARN or name."""
        answer = self.client.get_instance_profile(InstanceProfileName=profile.rpartition("/")[2])
        return str(answer["InstanceProfile"]["Roles"][0]["RoleName"])

    @cached_property
    def identity_providers(self) -> dict[str, Resource]:
        found = self.all("list_open_id_connect_providers", "OpenIDConnectProviderList")
        return {
            it["Arn"]: self.client.get_open_id_connect_provider(OpenIDConnectProviderArn=it["Arn"])
            for it in found
        }
