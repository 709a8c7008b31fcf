"""ECR: image repositories."""

from functools import cached_property

from botocore.exceptions import ClientError

from tally.aws.inventory.resources import Resource, tags_of
from tally.aws.inventory.service import Service


class ECR(Service):
    api = "ecr"

    @cached_property
    def repositories(self) -> list[Resource]:
        found = self.all("describe_repositories", "repositories")
        return self.own(found, "repositoryName")

    def lifecycle_policy(self, repository: str) -> str | None:
        """How a repository is cleaned, as JSON."""
        try:
            answer = self.client.get_lifecycle_policy(repositoryName=repository)
        except ClientError as error:
            if error.response["Error"]["Code"] == "LifecyclePolicyNotFoundException":
                return None
            raise
        return str(answer["lifecyclePolicyText"])

    def tags(self, arn: str) -> dict[str, str]:
        return tags_of(self.client.list_tags_for_resource(resourceArn=arn))
