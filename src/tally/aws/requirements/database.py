"""PostgreSQL on RDS, and the secrets of those who log in to it."""

from datetime import UTC, datetime
from typing import Final

from tally.aws.inventory import Inventory
from tally.aws.inventory.resources import Resource
from tally.aws.predicates import at_least, empty, given, includes, none_of, one_of
from tally.aws.requirement import Concern, Verdict, named

concern = Concern("Database")
requires = concern.requires

# The authorities whose roots come with Tally; anybody else's certificate would be refused.
AUTHORITIES: Final = ("rds-ca-rsa2048-g1", "rds-ca-rsa4096-g1", "rds-ca-ecc384-g1")
# Days; RDS.11's own bound.
_FEWEST_DAYS: Final = 7

_database = named("DBInstanceIdentifier", lambda aws: [aws.rds.database])
_secrets = named("Name", lambda aws: aws.secretsmanager.secrets.values())


def _ways_out(aws: Inventory, database: Resource) -> list[str]:
    subnets = [it["SubnetIdentifier"] for it in database["DBSubnetGroup"]["Subnets"]]
    return [f"{it} by {gateway}" for it in subnets for gateway in aws.ec2.internet_gateways(it)]


_private = requires("database-private", "The database has no public address", "RDS.2")
_private.field(_database, "PubliclyAccessible", False)
_private.field(_database, _ways_out, empty, "ways to the internet")
requires("database-encrypted", "The database's storage is encrypted", "RDS.3").field(
    _database, "StorageEncrypted", True
)
requires("database-zones", "The database stands by in a second zone", "RDS.5").not_if_small(
    "the small profile has one database machine"
).field(_database, "MultiAZ", True)
requires("database-deletion-protection", "The database is protected from deletion", "RDS.8").field(
    _database, "DeletionProtection", True
)
requires("database-logs", "The database's logs go to CloudWatch", "RDS.9").field(
    _database, "EnabledCloudwatchLogsExports", includes({"postgresql", "upgrade"})
)
requires("database-iam", "Logging in by IAM is possible", "RDS.10").field(
    _database, "IAMDatabaseAuthenticationEnabled", True
)
_backups = requires(
    "database-backups", "Backups have a window and are kept a week or longer", "RDS.11"
)
_backups.field(_database, "BackupRetentionPeriod", at_least(_FEWEST_DAYS), "days kept")
_backups.field(_database, "PreferredBackupWindow", given)


@requires("database-restore-practised", "A restore was practised, 40 days ago at most").each(
    named("Name", lambda aws: [aws.scheduler.restore_overdue])
)
def _practised(_: Inventory, schedule: Resource) -> Verdict:
    # A practised restore that succeeds moves the time from which the alarm rings, and says so here;
    # the first time is that of the deployment.
    rings: datetime = schedule["StartDate"]
    good = schedule["State"] == "ENABLED" and rings > datetime.now(UTC)
    said = schedule.get("Description") or "nobody has said when"
    when = f"the alarm rings from {rings:%Y-%m-%d}" if good else "overdue, or never told"
    return good, f"{said}; {when}"


requires("database-minor-upgrades", "Minor upgrades come by themselves", "RDS.13").field(
    _database, "AutoMinorVersionUpgrade", True
)
requires("database-snapshot-tags", "Snapshots carry the database's tags", "RDS.17").field(
    _database, "CopyTagsToSnapshot", True
)
requires("database-owner-name", "The owner's name is not a default", "RDS.25").field(
    _database, "MasterUsername", none_of({"postgres", "admin"})
)
requires("database-owner-secret", "RDS itself keeps and rotates the owner's password").field(
    _database, "MasterUserSecret.SecretArn", given
)
requires("database-authority", "The database's certificate is one that the clients trust").field(
    _database, "CACertificateIdentifier", one_of(AUTHORITIES)
)
requires("database-secrets-rotate", "Secrets rotate by themselves", "SecretsManager.1").field(
    _secrets, "RotationEnabled || `false`", True
)


requires("database-tls", "The database refuses connections without TLS").field(
    _database, lambda aws, _: aws.rds.parameters.get("rds.force_ssl"), "1", "rds.force_ssl"
)


requires("database-secrets", "Each service, and the operator, has a secret of its own").names(
    "Secrets Manager",
    lambda aws: aws.secretsmanager.secrets,
    *("{name}/adder", "{name}/display", "{name}/reset", "{name}/operator"),
)
