"""PostgreSQL on RDS, and the secrets of those who log in to it."""

from collections.abc import Iterator
from typing import Final

from tally.aws.inventory import SERVICES, Inventory
from tally.aws.requirement import Concern, Evidence, Field, NotApplicable, equal, present

concern = Concern("Database")

# The authorities whose roots come with Tally; anybody else's certificate would be refused.
AUTHORITIES: Final = ("rds-ca-rsa2048-g1", "rds-ca-rsa4096-g1", "rds-ca-ecc384-g1")
# Days; RDS.11's own bound.
_FEWEST_DAYS: Final = 7


def _name(aws: Inventory) -> str:
    return str(aws.rds.database["DBInstanceIdentifier"])


concern.requires_fields(
    lambda aws: [(_name(aws), aws.rds.database)],
    Field(
        "database-encrypted",
        "The database's storage is encrypted",
        ("RDS.3",),
        "StorageEncrypted",
        True,
    ),
    Field(
        "database-deletion-protection",
        "The database is protected from deletion",
        ("RDS.8",),
        "DeletionProtection",
        True,
    ),
    Field(
        "database-iam",
        "Logging in by IAM is possible",
        ("RDS.10",),
        "IAMDatabaseAuthenticationEnabled",
        True,
    ),
    Field(
        "database-minor-upgrades",
        "Minor upgrades come by themselves",
        ("RDS.13",),
        "AutoMinorVersionUpgrade",
        True,
    ),
    Field(
        "database-snapshot-tags",
        "Snapshots carry the database's tags",
        ("RDS.17",),
        "CopyTagsToSnapshot",
        True,
    ),
)


@concern.requires("database-private", "The database has no public address", "RDS.2")
def _private(aws: Inventory) -> Iterator[Evidence]:
    found = aws.rds.database["PubliclyAccessible"]
    yield equal(_name(aws), "PubliclyAccessible", found, False)
    ways = [
        f"{subnet['SubnetIdentifier']} by {route['GatewayId']}"
        for subnet in aws.rds.database["DBSubnetGroup"]["Subnets"]
        for route in aws.ec2.routes(subnet["SubnetIdentifier"])
        if str(route.get("GatewayId", "")).startswith("igw-")
    ]
    yield Evidence(_name(aws), not ways, f"ways to the internet: {', '.join(ways) or 'none'}")


@concern.requires("database-zones", "The database stands by in a second zone", "RDS.5")
def _zones(aws: Inventory) -> Iterator[Evidence]:
    if aws.profile == "small":
        raise NotApplicable("the small profile has one database machine")
    yield equal(_name(aws), "MultiAZ", aws.rds.database["MultiAZ"], True)


@concern.requires("database-logs", "The database's logs go to CloudWatch", "RDS.9")
def _logs(aws: Inventory) -> Iterator[Evidence]:
    exported = set(aws.rds.database.get("EnabledCloudwatchLogsExports", []))
    yield present(_name(aws), {"postgresql", "upgrade"} - exported, ", ".join(sorted(exported)))


@concern.requires(
    "database-backups", "Backups have a window and are kept a week or longer", "RDS.11"
)
def _backups(aws: Inventory) -> Iterator[Evidence]:
    days = aws.rds.database["BackupRetentionPeriod"]
    yield Evidence(_name(aws), days >= _FEWEST_DAYS, f"kept for {days} days")
    window = aws.rds.database.get("PreferredBackupWindow")
    yield Evidence(_name(aws), bool(window), f"window = {window} UTC")


@concern.requires("database-owner-name", "The owner's name is not a default", "RDS.25")
def _owner_name(aws: Inventory) -> Iterator[Evidence]:
    found = aws.rds.database["MasterUsername"]
    yield Evidence(_name(aws), found not in ("postgres", "admin"), f"MasterUsername = {found}")


@concern.requires("database-owner-secret", "RDS itself keeps and rotates the owner's password")
def _owner_secret(aws: Inventory) -> Iterator[Evidence]:
    secret = aws.rds.database.get("MasterUserSecret", {})
    arn = secret.get("SecretArn")
    yield Evidence(_name(aws), bool(arn), f"MasterUserSecret = {arn or 'none'}")


@concern.requires("database-tls", "The database refuses connections without TLS")
def _tls(aws: Inventory) -> Iterator[Evidence]:
    forced = aws.rds.parameters.get("rds.force_ssl")
    groups = ", ".join(it["DBParameterGroupName"] for it in aws.rds.database["DBParameterGroups"])
    yield equal(groups, "rds.force_ssl", forced, "1")


@concern.requires("database-authority", "The database's certificate is one that the clients trust")
def _authority(aws: Inventory) -> Iterator[Evidence]:
    found = aws.rds.database.get("CACertificateIdentifier")
    yield Evidence(_name(aws), found in AUTHORITIES, f"CACertificateIdentifier = {found}")


@concern.requires("database-secrets", "Each service, and the operator, has a secret of its own")
def _secrets(aws: Inventory) -> Iterator[Evidence]:
    wanted = {f"{aws.name}/{role}" for role in (*SERVICES, "operator")}
    yield present(
        "Secrets Manager", wanted - set(aws.secretsmanager.secrets), ", ".join(sorted(wanted))
    )


@concern.requires("database-secrets-rotate", "Secrets rotate by themselves", "SecretsManager.1")
def _secrets_rotate(aws: Inventory) -> Iterator[Evidence]:
    for name, secret in aws.secretsmanager.secrets.items():
        yield equal(name, "RotationEnabled", secret.get("RotationEnabled", False), True)
