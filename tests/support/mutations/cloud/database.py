"""The database and its secrets."""

from typing import Any

from tests.support.mutations.cloud.account import Account


class Database(Account):
    def rotate(self, secret: str) -> None:
        """Let a secret rotate. AWS would ask for a function that does it, and call that."""
        self.secretsmanager.rotate_secret(
            SecretId=f"{self.name}/{secret}", RotationRules={"AutomaticallyAfterDays": 30}
        )

    def change_database(self, **changes: object) -> None:
        self.rds.modify_db_instance(
            DBInstanceIdentifier=f"{self.name}-database", ApplyImmediately=True, **changes
        )

    def replace_database(self, **changes: object) -> None:
        """Delete the database and make one that differs in what can't be changed.

        Its owner's secret is a new one, and the schema step still asks for the old.
        """
        name = f"{self.name}-database"
        (old,) = self.rds.describe_db_instances(DBInstanceIdentifier=name)["DBInstances"]
        self.change_database(DeletionProtection=False)
        self.rds.delete_db_instance(DBInstanceIdentifier=name, SkipFinalSnapshot=True)
        same = (
            *("DBInstanceIdentifier", "DBInstanceClass", "Engine", "EngineVersion"),
            *("MasterUsername", "AllocatedStorage", "MultiAZ", "PubliclyAccessible"),
            *("StorageEncrypted", "BackupRetentionPeriod", "PreferredBackupWindow"),
            *("AutoMinorVersionUpgrade", "CopyTagsToSnapshot", "DeletionProtection"),
            *("CACertificateIdentifier",),
        )
        given: dict[str, Any] = {
            **{key: old[key] for key in same},
            "DBSubnetGroupName": old["DBSubnetGroup"]["DBSubnetGroupName"],
            "DBParameterGroupName": old["DBParameterGroups"][0]["DBParameterGroupName"],
            "VpcSecurityGroupIds": [it["VpcSecurityGroupId"] for it in old["VpcSecurityGroups"]],
            "EnableCloudwatchLogsExports": old["EnabledCloudwatchLogsExports"],
            "EnableIAMDatabaseAuthentication": True,
            "ManageMasterUserPassword": True,
            "Tags": old["TagList"],
        }
        self.rds.create_db_instance(**{**given, **changes})
