"""The images' repositories."""

from collections.abc import Iterator

from tally.aws.inventory import CONTAINER_SERVICES, Inventory
from tally.aws.predicates import given, includes
from tally.aws.requirement import Concern, Evidence, hold, named

concern = Concern("Images")

_repositories = named("repositoryName", lambda aws: aws.ecr.repositories)


_scanned = concern.requires("images-scanned", "Images are scanned when they are pushed", "ECR.1")
_scanned.field(_repositories, "imageScanningConfiguration.scanOnPush", True)


@_scanned
def _there(aws: Inventory) -> Iterator[Evidence]:
    found = [it["repositoryName"] for it in aws.ecr.repositories]
    wanted = [f"{aws.name}/{service}" for service in CONTAINER_SERVICES]
    yield hold("ECR", "repositories", found, includes(wanted))


concern.requires("images-immutable", "An image's tag never moves", "ECR.2").field(
    _repositories, "imageTagMutability", "IMMUTABLE"
)


concern.requires("images-lifecycle", "Old images are removed", "ECR.3").field(
    _repositories, lambda aws, it: aws.ecr.lifecycle_policy(it["repositoryName"]), given, "policy"
)
