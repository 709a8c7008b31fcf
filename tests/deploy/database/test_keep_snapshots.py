"""A destroy keeps readable what only the deployment's key can read."""

import pytest

from tests.support.deployment import aws_command


class Snapshots:
    """A database under a key of its own, another one under another, and a snapshot of each."""

    def __init__(self, emulator, programs):
        self.emulator, self.programs = emulator, programs
        self.kms, self.rds = emulator.client("kms"), emulator.client("rds")
        self.keys = {name: self.kms.create_key()["KeyMetadata"]["Arn"] for name in ("own", "other")}
        for name, key in self.keys.items():
            self.rds.create_db_instance(
                DBInstanceIdentifier=name,
                Engine="postgres",
                DBInstanceClass="db.t4g.micro",
                AllocatedStorage=20,
                MasterUsername="owner",
                MasterUserPassword="correct-horse",
                StorageEncrypted=True,
                KmsKeyId=key,
            )
            self.take(name, f"{name}-final")

    def take(self, database, snapshot):
        self.rds.create_db_snapshot(DBInstanceIdentifier=database, DBSnapshotIdentifier=snapshot)

    def keep(self):
        """Run it as Terraform does."""
        return self.emulator.run_script(
            "deploy/database/keep-snapshots", self.programs, KEY=self.keys["own"]
        )

    def key_id(self):
        """The emulator schedules deletions of a key by its id alone."""
        return self.keys["own"].rpartition("/")[2]

    def by_key(self):
        found = self.rds.describe_db_snapshots(SnapshotType="manual")["DBSnapshots"]
        return {it["DBSnapshotIdentifier"]: it["KmsKeyId"] for it in found}

    @property
    def rds_own_key(self):
        return self.kms.describe_key(KeyId="alias/aws/rds")["KeyMetadata"]["Arn"]


@pytest.fixture
def snapshots(new_emulator, tmp_path):
    return Snapshots(new_emulator, aws_command(tmp_path / "programs"))


def test_what_the_key_encrypts_is_kept_under_one_that_stays(snapshots):
    snapshots.take("own", "own-by-hand")
    done = snapshots.keep()
    assert done.returncode == 0, done.stderr
    stays = snapshots.rds_own_key
    assert snapshots.by_key() == {
        "own-final-kept": stays,
        "own-by-hand-kept": stays,
        "other-final": snapshots.keys["other"],
    }
    # The key may go.
    snapshots.kms.schedule_key_deletion(KeyId=snapshots.key_id(), PendingWindowInDays=7)
    snapshots.rds.restore_db_instance_from_db_snapshot(
        DBInstanceIdentifier="again", DBSnapshotIdentifier="own-final-kept"
    )


def test_what_was_interrupted_goes_on(snapshots):
    snapshots.rds.copy_db_snapshot(
        SourceDBSnapshotIdentifier="own-final",
        TargetDBSnapshotIdentifier="own-final-kept",
        KmsKeyId="alias/aws/rds",
    )
    for _ in range(2):
        done = snapshots.keep()
        assert done.returncode == 0, done.stderr
        assert set(snapshots.by_key()) == {"own-final-kept", "other-final"}


def test_nothing_is_deleted_that_can_not_be_copied(snapshots):
    before = snapshots.by_key()
    snapshots.kms.disable_key(KeyId=snapshots.key_id())
    done = snapshots.keep()
    assert done.returncode != 0
    assert "KMSKeyNotAccessibleFault" in done.stderr
    assert snapshots.by_key() == before
