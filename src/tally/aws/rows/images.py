"""The images' repositories."""

from collections.abc import Iterator

from tally.aws.account import CONTAINER_SERVICES, Account
from tally.aws.requirement import Concern, Seen, equal, present

concern = Concern("Images")


@concern.requires("images-scanned", "Images are scanned when they are pushed", "ECR.1")
def _scanned(account: Account) -> Iterator[Seen]:
    wanted = {f"{account.name}/{service}" for service in CONTAINER_SERVICES}
    found = {repository["repositoryName"] for repository in account.repositories}
    yield present("repositories", wanted - found, ", ".join(sorted(found)))
    for repository in account.repositories:
        scanned = repository.get("imageScanningConfiguration", {}).get("scanOnPush")
        yield equal(repository["repositoryName"], "scanOnPush", scanned, True)


@concern.requires("images-immutable", "An image's tag never moves", "ECR.2")
def _immutable(account: Account) -> Iterator[Seen]:
    for repository in account.repositories:
        found = repository["imageTagMutability"]
        yield equal(repository["repositoryName"], "imageTagMutability", found, "IMMUTABLE")


@concern.requires("images-lifecycle", "Old images are removed", "ECR.3")
def _lifecycle(account: Account) -> Iterator[Seen]:
    for repository in account.repositories:
        policy = account.lifecycle_policy(repository["repositoryName"])
        yield Seen(repository["repositoryName"], policy is not None, policy or "no policy")
