"""What breaks the database."""

from datetime import UTC, datetime, timedelta

from tally.aws.inventory import SERVICES
from tests.support.mutations.cloud import Cloud
from tests.support.mutations.declaration import breaks, meets

breaks(
    "database-private",
    publish_the_database=lambda cloud: cloud.change_database(PubliclyAccessible=True),
)

breaks(
    "database-encrypted",
    "containers-own-secret",
    store_in_plain=lambda cloud: cloud.replace_database(StorageEncrypted=False),
)

breaks("database-zones", stand_alone=lambda cloud: cloud.change_database(MultiAZ=False))

breaks(
    "database-deletion-protection",
    unprotect_the_database=lambda cloud: cloud.change_database(DeletionProtection=False),
)

breaks(
    "database-logs",
    keep_the_logs_in=lambda cloud: cloud.change_database(
        CloudwatchLogsExportConfiguration={"DisableLogTypes": ["upgrade"]}
    ),
)

breaks(
    "database-iam",
    switch_iam_off=lambda cloud: cloud.change_database(EnableIAMDatabaseAuthentication=False),
)

breaks(
    "database-backups",
    keep_backups_for_a_day=lambda cloud: cloud.change_database(BackupRetentionPeriod=1),
)


@breaks("database-restore-practised")
def practise_no_restore(cloud: Cloud) -> None:
    overdue = {"Name": f"{cloud.name}-restore-overdue", "GroupName": "default"}
    found = cloud.client("scheduler").get_schedule(**overdue)
    kept = ("FlexibleTimeWindow", "ScheduleExpression", "State", "Target")
    cloud.client("scheduler").update_schedule(
        **overdue,
        **{key: found[key] for key in kept},
        StartDate=datetime.now(UTC) - timedelta(days=1),
    )


breaks(
    "database-minor-upgrades",
    stay_at_a_minor_version=lambda cloud: cloud.change_database(AutoMinorVersionUpgrade=False),
)

breaks(
    "database-snapshot-tags",
    forget_tags_in_snapshots=lambda cloud: cloud.change_database(CopyTagsToSnapshot=False),
)

breaks(
    "database-owner-name",
    "containers-own-secret",
    call_the_owner_postgres=lambda cloud: cloud.replace_database(MasterUsername="postgres"),
)

breaks(
    "database-owner-secret",
    "containers-own-secret",
    keep_the_owners_password_oneself=lambda cloud: cloud.change_database(
        ManageMasterUserPassword=False, MasterUserPassword="correct-horse"
    ),
)


@breaks("database-tls")
def accept_plain_connections(cloud: Cloud) -> None:
    (database,) = cloud.rds.describe_db_instances(DBInstanceIdentifier=f"{cloud.name}-database")[
        "DBInstances"
    ]
    cloud.rds.modify_db_parameter_group(
        DBParameterGroupName=database["DBParameterGroups"][0]["DBParameterGroupName"],
        Parameters=[
            {"ParameterName": "rds.force_ssl", "ParameterValue": "0", "ApplyMethod": "immediate"}
        ],
    )


breaks(
    "database-authority",
    use_an_old_authority=lambda cloud: cloud.change_database(CACertificateIdentifier="rds-ca-2019"),
)

breaks(
    "database-secrets",
    lose_a_secret=lambda cloud: cloud.secretsmanager.delete_secret(
        SecretId=f"{cloud.name}/operator", ForceDeleteWithoutRecovery=True
    ),
)


@meets("database-secrets-rotate")
def rotate_every_secret(cloud: Cloud) -> None:
    for secret in (*SERVICES, "operator", "token-for-reset"):
        cloud.rotate(secret)
