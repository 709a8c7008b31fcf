"""PostgreSQL on RDS, and the secrets of those who log in to it."""

from collections.abc import Iterator
from typing import Final

from tally.aws.account import SERVICES, Account
from tally.aws.requirement import Concern, NotApplicable, Seen, equal, present

concern = Concern("Database")

# The authorities whose roots come with Tally; anybody else's certificate would be refused.
AUTHORITIES: Final = ("rds-ca-rsa2048-g1", "rds-ca-rsa4096-g1", "rds-ca-ecc384-g1")
# Days; RDS.11's own bound.
_FEWEST_DAYS: Final = 7


def _name(account: Account) -> str:
    return str(account.database["DBInstanceIdentifier"])


@concern.requires("database-private", "The database has no public address", "RDS.2")
def _private(account: Account) -> Iterator[Seen]:
    found = account.database["PubliclyAccessible"]
    yield equal(_name(account), "PubliclyAccessible", found, False)
    ways = [
        f"{subnet['SubnetIdentifier']} by {route['GatewayId']}"
        for subnet in account.database["DBSubnetGroup"]["Subnets"]
        for route in account.routes(subnet["SubnetIdentifier"])
        if str(route.get("GatewayId", "")).startswith("igw-")
    ]
    yield Seen(_name(account), not ways, f"ways to the internet: {', '.join(ways) or 'none'}")


@concern.requires("database-encrypted", "The database's storage is encrypted", "RDS.3")
def _encrypted(account: Account) -> Iterator[Seen]:
    found = account.database["StorageEncrypted"]
    yield equal(_name(account), "StorageEncrypted", found, True)


@concern.requires("database-zones", "The database stands by in a second zone", "RDS.5")
def _zones(account: Account) -> Iterator[Seen]:
    if account.profile == "small":
        raise NotApplicable("the small profile has one database machine")
    yield equal(_name(account), "MultiAZ", account.database["MultiAZ"], True)


@concern.requires(
    "database-deletion-protection", "The database is protected from deletion", "RDS.8"
)
def _deletion_protection(account: Account) -> Iterator[Seen]:
    found = account.database["DeletionProtection"]
    yield equal(_name(account), "DeletionProtection", found, True)


@concern.requires("database-logs", "The database's logs go to CloudWatch", "RDS.9")
def _logs(account: Account) -> Iterator[Seen]:
    exported = set(account.database.get("EnabledCloudwatchLogsExports", []))
    yield present(_name(account), {"postgresql", "upgrade"} - exported, ", ".join(sorted(exported)))


@concern.requires("database-iam", "Logging in by IAM is possible", "RDS.10")
def _iam(account: Account) -> Iterator[Seen]:
    found = account.database["IAMDatabaseAuthenticationEnabled"]
    yield equal(_name(account), "IAMDatabaseAuthenticationEnabled", found, True)


@concern.requires(
    "database-backups", "Backups have a window and are kept a week or longer", "RDS.11"
)
def _backups(account: Account) -> Iterator[Seen]:
    days = account.database["BackupRetentionPeriod"]
    yield Seen(_name(account), days >= _FEWEST_DAYS, f"kept for {days} days")
    window = account.database.get("PreferredBackupWindow")
    yield Seen(_name(account), bool(window), f"window = {window} UTC")


@concern.requires("database-minor-upgrades", "Minor upgrades come by themselves", "RDS.13")
def _minor_upgrades(account: Account) -> Iterator[Seen]:
    found = account.database["AutoMinorVersionUpgrade"]
    yield equal(_name(account), "AutoMinorVersionUpgrade", found, True)


@concern.requires("database-snapshot-tags", "Snapshots carry the database's tags", "RDS.17")
def _snapshot_tags(account: Account) -> Iterator[Seen]:
    found = account.database["CopyTagsToSnapshot"]
    yield equal(_name(account), "CopyTagsToSnapshot", found, True)


@concern.requires("database-owner-name", "The owner's name is not a default", "RDS.25")
def _owner_name(account: Account) -> Iterator[Seen]:
    found = account.database["MasterUsername"]
    yield Seen(_name(account), found not in ("postgres", "admin"), f"MasterUsername = {found}")


@concern.requires("database-owner-secret", "RDS itself keeps and rotates the owner's password")
def _owner_secret(account: Account) -> Iterator[Seen]:
    secret = account.database.get("MasterUserSecret", {})
    arn = secret.get("SecretArn")
    yield Seen(_name(account), bool(arn), f"MasterUserSecret = {arn or 'none'}")


@concern.requires("database-tls", "The database refuses connections without TLS")
def _tls(account: Account) -> Iterator[Seen]:
    forced = account.database_parameters.get("rds.force_ssl")
    groups = ", ".join(it["DBParameterGroupName"] for it in account.database["DBParameterGroups"])
    yield equal(groups, "rds.force_ssl", forced, "1")


@concern.requires("database-authority", "The database's certificate is one that the clients trust")
def _authority(account: Account) -> Iterator[Seen]:
    found = account.database.get("CACertificateIdentifier")
    yield Seen(_name(account), found in AUTHORITIES, f"CACertificateIdentifier = {found}")


@concern.requires("database-secrets", "Each service, and the operator, has a secret of its own")
def _secrets(account: Account) -> Iterator[Seen]:
    wanted = {f"{account.name}/{role}" for role in (*SERVICES, "operator")}
    yield present("Secrets Manager", wanted - set(account.secrets), ", ".join(sorted(wanted)))


@concern.requires("database-secrets-rotate", "Secrets rotate by themselves", "SecretsManager.1")
def _secrets_rotate(account: Account) -> Iterator[Seen]:
    for name, secret in account.secrets.items():
        yield equal(name, "RotationEnabled", secret.get("RotationEnabled", False), True)
