"""S3: policies and delete markers."""

from moto.iam.access_control import PermissionResult
from moto.s3.models import FakeBucket, FakeDeleteMarker


def let_everybody_in() -> None:
    """moto would enforce bucket policies, which refuse what does not come over TLS."""
    FakeBucket.get_permission = lambda *_: PermissionResult.NEUTRAL


def delete_markers_too() -> None:
    """moto fails to delete a delete marker where versioning has been suspended."""
    FakeDeleteMarker.dispose = lambda _: None


def patch() -> None:
    let_everybody_in()
    delete_markers_too()
