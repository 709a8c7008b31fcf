"""The images' repositories."""

from collections.abc import Iterator

from tally.aws.inventory import CONTAINER_SERVICES, Inventory
from tally.aws.requirement import Concern, Evidence, Field, equal, present

concern = Concern("Images")


@concern.requires("images-scanned", "Images are scanned when they are pushed", "ECR.1")
def _scanned(aws: Inventory) -> Iterator[Evidence]:
    wanted = {f"{aws.name}/{service}" for service in CONTAINER_SERVICES}
    found = {repository["repositoryName"] for repository in aws.ecr.repositories}
    yield present("repositories", wanted - found, ", ".join(sorted(found)))
    for repository in aws.ecr.repositories:
        scanned = repository.get("imageScanningConfiguration", {}).get("scanOnPush")
        yield equal(repository["repositoryName"], "scanOnPush", scanned, True)


concern.requires_fields(
    lambda aws: [(it["repositoryName"], it) for it in aws.ecr.repositories],
    Field(
        "images-immutable",
        "An image's tag never moves",
        ("ECR.2",),
        "imageTagMutability",
        "IMMUTABLE",
    ),
)


@concern.requires("images-lifecycle", "Old images are removed", "ECR.3")
def _lifecycle(aws: Inventory) -> Iterator[Evidence]:
    for repository in aws.ecr.repositories:
        policy = aws.ecr.lifecycle_policy(repository["repositoryName"])
        yield Evidence(repository["repositoryName"], policy is not None, policy or "no policy")
