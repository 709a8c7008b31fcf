"""What breaks the images."""

from tests.support.mutations.declaration import breaks

breaks(
    "images-scanned",
    stop_scanning=lambda cloud: cloud.ecr.put_image_scanning_configuration(
        repositoryName=f"{cloud.name}/display", imageScanningConfiguration={"scanOnPush": False}
    ),
)

breaks(
    "images-immutable",
    let_tags_move=lambda cloud: cloud.ecr.put_image_tag_mutability(
        repositoryName=f"{cloud.name}/reset", imageTagMutability="MUTABLE"
    ),
)

breaks(
    "images-lifecycle",
    keep_every_image=lambda cloud: cloud.ecr.delete_lifecycle_policy(
        repositoryName=f"{cloud.name}/display"
    ),
)
