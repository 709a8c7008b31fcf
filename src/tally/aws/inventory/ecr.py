"""ECR: image repositories."""

from botocore.exceptions import ClientError

from tally.aws.inventory.service import Service, listed


class ECR(Service):
    api = "ecr"
    tagging = ("list_tags_for_resource", "resourceArn", "tags")
    repositories = listed("describe_repositories", "repositories", "repositoryName")

    def lifecycle_policy(self, repository: str) -> str | None:
        """How a repository is cleaned, as JSON."""
        try:
            answer = self.client.get_lifecycle_policy(repositoryName=repository)
        except ClientError as error:
            if error.response["Error"]["Code"] == "LifecyclePolicyNotFoundException":
                return None
            raise
        return str(answer["lifecyclePolicyText"])
