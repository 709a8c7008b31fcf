"""The emulator refuses what AWS refuses: each is a mistake that this deployment once made."""

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.support.deployment import ACCOUNT, Emulator


def make_database(emulator: Emulator, name: str, **settings: Any) -> Any:
    """Make a database whose owner's password RDS manages; return a client."""
    rds = emulator.client("rds")
    rds.create_db_instance(
        DBInstanceIdentifier=name,
        Engine="postgres",
        DBInstanceClass="db.t4g.micro",
        AllocatedStorage=20,
        MasterUsername="owner",
        ManageMasterUserPassword=True,
        **settings,
    )
    return rds


@pytest.fixture(scope="module")
def database(emulator: Emulator) -> Any:
    return make_database(emulator, "main")


@pytest.fixture(scope="module")
def balancer(emulator: Emulator) -> str:
    """A load balancer that is protected."""
    subnets = emulator.client("ec2").describe_subnets()["Subnets"][:2]
    elbv2 = emulator.client("elbv2")
    [made] = elbv2.create_load_balancer(Name="main", Subnets=[it["SubnetId"] for it in subnets])[
        "LoadBalancers"
    ]
    protection = {"Key": "deletion_protection.enabled", "Value": "true"}
    elbv2.modify_load_balancer_attributes(
        LoadBalancerArn=made["LoadBalancerArn"], Attributes=[protection]
    )
    return str(made["LoadBalancerArn"])


def refused(call: Any, **given: Any) -> str:
    """The code with which a call is refused."""
    with pytest.raises(ClientError) as refusal:
        call(**given)
    return str(refusal.value.response["Error"]["Code"])


def test_a_restore_does_not_manage_the_owners_password_of_postgresql(database: Any) -> None:
    restore = {
        "SourceDBInstanceIdentifier": "main",
        "TargetDBInstanceIdentifier": "restored",
        "UseLatestRestorableTime": True,
    }
    ask = database.restore_db_instance_to_point_in_time
    assert refused(ask, **restore, ManageMasterUserPassword=True) == "InvalidParameterCombination"
    assert "MasterUserSecret" not in ask(**restore)["DBInstance"]
    modified = database.modify_db_instance(
        DBInstanceIdentifier="restored", ManageMasterUserPassword=True
    )
    assert modified["DBInstance"]["MasterUserSecret"]["SecretArn"]


def test_a_new_role_is_not_usable_at_once(emulator: Emulator) -> None:
    iam, ec2, scheduler = map(emulator.client, ("iam", "ec2", "scheduler"))
    made = iam.create_role(RoleName="new", AssumeRolePolicyDocument="{}")["Role"]["Arn"]
    iam.create_instance_profile(InstanceProfileName="new")
    iam.add_role_to_instance_profile(InstanceProfileName="new", RoleName="new")
    machine = {
        "ImageId": "ami-12345678",
        "InstanceType": "t3.micro",
        "MinCount": 1,
        "MaxCount": 1,
        "IamInstanceProfile": {"Name": "new"},
    }
    schedule = {
        "Name": "new",
        "ScheduleExpression": "rate(1 hour)",
        "FlexibleTimeWindow": {"Mode": "OFF"},
        "Target": {"Arn": "arn:aws:scheduler:::aws-sdk:cloudwatch:putMetricData", "RoleArn": made},
    }
    assert refused(ec2.run_instances, **machine) == "InvalidParameterValue"
    assert refused(scheduler.create_schedule, **schedule) == "ValidationException"
    ec2.run_instances(**machine)
    scheduler.create_schedule(**schedule)


def test_an_account_has_room_for_what_preflight_asks_for(new_emulator: Emulator) -> None:
    run = new_emulator.client("ec2").run_instances
    # The bastion, and twice the adder's machines: a release runs the new beside the old.
    production = {"ImageId": "ami-12345678", "InstanceType": "t3.small", "MaxCount": 5}
    run(**production, MinCount=5)
    one = production | {"MaxCount": 1}
    assert refused(run, **one, MinCount=1) == "VcpuLimitExceeded"


def test_a_secrets_name_stays_taken_while_it_can_be_recovered(emulator: Emulator) -> None:
    secrets = emulator.client("secretsmanager")
    for name, deletion in (
        ("kept", {"RecoveryWindowInDays": 30}),
        ("gone", {"ForceDeleteWithoutRecovery": True}),
    ):
        secrets.create_secret(Name=name, SecretString="1")
        secrets.delete_secret(SecretId=name, **deletion)
    assert (
        refused(secrets.create_secret, Name="kept", SecretString="2") == "InvalidRequestException"
    )
    secrets.create_secret(Name="gone", SecretString="2")


def test_a_final_snapshot_needs_a_name_that_no_other_has(database: Any) -> None:
    name = {"DBInstanceIdentifier": "main", "DBSnapshotIdentifier": "taken"}
    database.create_db_snapshot(**name)
    final = {"DBInstanceIdentifier": "main", "FinalDBSnapshotIdentifier": "taken"}
    assert refused(database.delete_db_instance, **final) == "DBSnapshotAlreadyExists"
    assert refused(database.create_db_snapshot, **name) == "DBSnapshotAlreadyExists"


def test_nothing_reads_what_a_key_has_encrypted_whose_deletion_is_scheduled(
    emulator: Emulator,
) -> None:
    kms = emulator.client("kms")
    made = kms.create_key()["KeyMetadata"]
    key = {"KeyId": made["KeyId"]}
    rds = make_database(emulator, "sealed", StorageEncrypted=True, KmsKeyId=made["Arn"])
    snapshot = {"DBSnapshotIdentifier": "sealed"}
    rds.create_db_snapshot(DBInstanceIdentifier="sealed", **snapshot)
    kms.schedule_key_deletion(**key, PendingWindowInDays=7)
    restore, copy = rds.restore_db_instance_from_db_snapshot, rds.copy_db_snapshot
    source = {"SourceDBSnapshotIdentifier": "sealed", "TargetDBSnapshotIdentifier": "copied"}
    inaccessible = "KMSKeyNotAccessibleFault"
    assert refused(restore, DBInstanceIdentifier="again", **snapshot) == inaccessible
    # Also not for a copy that another key would encrypt.
    assert refused(copy, **source, KmsKeyId="alias/aws/rds") == inaccessible
    last = {"DBInstanceIdentifier": "sealed", "FinalDBSnapshotIdentifier": "last"}
    assert refused(rds.delete_db_instance, **last) == inaccessible
    kms.cancel_key_deletion(**key)
    kms.enable_key(**key)
    again = restore(DBInstanceIdentifier="again", **snapshot)["DBInstance"]
    assert again["KmsKeyId"] == made["Arn"]


def test_a_protected_load_balancer_is_not_deleted(emulator: Emulator, balancer: str) -> None:
    delete = emulator.client("elbv2").delete_load_balancer
    assert refused(delete, LoadBalancerArn=balancer) == "OperationNotPermitted"


def test_a_group_has_room_for_one_list_of_cloudfronts_addresses(emulator: Emulator) -> None:
    ec2 = emulator.client("ec2")
    group = ec2.create_security_group(GroupName="lists", Description="lists")["GroupId"]
    [addresses] = [
        it["PrefixListId"]
        for it in ec2.describe_managed_prefix_lists()["PrefixLists"]
        if it["PrefixListName"] == "com.amazonaws.global.cloudfront.origin-facing"
    ]

    def admit(port: int) -> dict[str, Any]:
        ports = {"IpProtocol": "tcp", "FromPort": port, "ToPort": port}
        return {"GroupId": group, "IpPermissions": [{**ports, "PrefixListIds": [named]}]}

    named = {"PrefixListId": addresses}
    ec2.authorize_security_group_ingress(**admit(80))
    again = refused(ec2.authorize_security_group_ingress, **admit(443))
    assert again == "RulesPerSecurityGroupLimitExceeded"
    [found] = ec2.describe_security_groups(GroupIds=[group])["SecurityGroups"]
    assert [it["FromPort"] for it in found["IpPermissions"]] == [80]


def test_cloudfront_makes_a_group_of_its_own_and_keeps_it_while_an_origin_needs_it(
    emulator: Emulator, balancer: str
) -> None:
    cloudfront, ec2 = emulator.client("cloudfront"), emulator.client("ec2")

    def groups() -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = ec2.describe_security_groups()["SecurityGroups"]
        return [it for it in found if it["GroupName"] == "CloudFront-VPCOrigins-Service-SG"]

    endpoint = {"Name": "one", "Arn": balancer, "HTTPPort": 80, "HTTPSPort": 443}
    endpoint["OriginProtocolPolicy"] = "http-only"
    made = cloudfront.create_vpc_origin(VpcOriginEndpointConfig=endpoint)
    [group] = groups()
    # None of them is its VPC's owner's.
    assert [it["Key"] for it in group["Tags"]] == ["aws.cloudfront.vpcorigin"]
    cloudfront.delete_vpc_origin(Id=made["VpcOrigin"]["Id"], IfMatch=made["ETag"])
    assert groups() == []


def test_an_origin_in_use_is_neither_changed_nor_deleted(emulator: Emulator, balancer: str) -> None:
    cloudfront = emulator.client("cloudfront")
    endpoint = {"Name": "used", "Arn": balancer, "HTTPPort": 80, "HTTPSPort": 443}
    endpoint["OriginProtocolPolicy"] = "http-only"
    made = cloudfront.create_vpc_origin(VpcOriginEndpointConfig=endpoint)
    origin = {"Id": made["VpcOrigin"]["Id"], "IfMatch": made["ETag"]}
    leads_to = {"Id": "one", "DomainName": "internal.example"}
    cloudfront.create_distribution(
        DistributionConfig={
            "CallerReference": "test",
            "Comment": "",
            "Enabled": True,
            "Origins": {
                "Quantity": 1,
                "Items": [{**leads_to, "VpcOriginConfig": {"VpcOriginId": origin["Id"]}}],
            },
            "DefaultCacheBehavior": {"TargetOriginId": "one", "ViewerProtocolPolicy": "allow-all"},
        }
    )
    changed = {**endpoint, "OriginProtocolPolicy": "https-only"}
    update = refused(cloudfront.update_vpc_origin, VpcOriginEndpointConfig=changed, **origin)
    assert update == "CannotUpdateEntityWhileInUse"
    assert refused(cloudfront.delete_vpc_origin, **origin) == "CannotDeleteEntityWhileInUse"


# Who calls is the access key, which is a role's name.
DENIED = "AccessDenied"


def policy(*actions: str, **elements: Any) -> str:
    statement = {"Effect": "Allow", "Action": list(actions), "Resource": "*"} | elements
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


@pytest.fixture(scope="module")
def role(emulator: Emulator) -> str:
    """A role that may read in one bucket and open with one key, within a boundary."""
    iam, s3 = emulator.client("iam"), emulator.client("s3")
    limit = policy("s3:*", "kms:*", "ec2:DescribeVpcs")
    boundary = iam.create_policy(PolicyName="limit", PolicyDocument=limit)["Policy"]["Arn"]
    for name in ("reader", "other"):
        iam.create_role(RoleName=name, AssumeRolePolicyDocument="{}", PermissionsBoundary=boundary)
    iam.put_role_policy(
        RoleName="reader",
        PolicyName="own",
        PolicyDocument=policy(
            *("s3:GetObject", "s3:DeleteObject", "ec2:DescribeVpcs", "ec2:DescribeSubnets")
        ),
    )
    for bucket in ("own", "kept"):
        s3.create_bucket(Bucket=bucket)
        s3.put_object(Bucket=bucket, Key="one", Body=b"")
    s3.put_bucket_policy(Bucket="kept", Policy=policy("s3:*", Effect="Deny", Principal="*"))
    return "reader"


def test_a_role_does_nothing_that_no_policy_names(emulator: Emulator, role: str) -> None:
    emulator.client("s3", role).get_object(Bucket="own", Key="one")
    assert refused(emulator.client("s3", role).put_object, Bucket="own", Key="two") == DENIED
    assert refused(emulator.client("ecs", role).list_clusters) == DENIED
    assert refused(emulator.client("ec2", "nobody").describe_vpcs) == DENIED


def test_several_things_are_refused_for_one(emulator: Emulator, role: str) -> None:
    delete = emulator.client("s3", role).delete_objects
    assert refused(delete, Bucket="own", Delete={"Objects": [{"Key": "one"}]}) == DENIED


def test_a_role_does_nothing_that_its_boundary_does_not_name(emulator: Emulator, role: str) -> None:
    emulator.client("ec2", role).describe_vpcs()
    assert refused(emulator.client("ec2", role).describe_subnets) == DENIED


def test_a_bucket_denies_anybody(emulator: Emulator, role: str) -> None:
    for caller in (role, "test"):
        client = emulator.client("s3", caller)
        assert refused(client.get_object, Bucket="kept", Key="one") == DENIED


def test_a_key_is_for_whom_its_policy_names(emulator: Emulator, role: str) -> None:
    own = emulator.client("kms")
    named = policy("kms:*", Principal={"AWS": f"arn:aws:iam::{ACCOUNT}:role/other"})
    key = own.create_key(Policy=named)["KeyMetadata"]["KeyId"]
    wanted = {"KeyId": key, "KeySpec": "AES_256"}
    emulator.client("kms", "other").generate_data_key(**wanted)
    for caller in (role, "test"):
        assert refused(emulator.client("kms", caller).generate_data_key, **wanted) == DENIED
