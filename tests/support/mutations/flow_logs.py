"""What breaks the flow logs."""

from tests.support.mutations.cloud import Cloud
from tests.support.mutations.declaration import breaks


@breaks("denied-logged")
def log_what_was_let_through(cloud: Cloud) -> None:
    (log,) = cloud.ec2.describe_flow_logs()["FlowLogs"]
    cloud.ec2.delete_flow_logs(FlowLogIds=[log["FlowLogId"]])
    cloud.ec2.create_flow_logs(
        ResourceIds=[cloud.vpc()],
        ResourceType="VPC",
        TrafficType="ACCEPT",
        LogDestinationType="s3",
        LogDestination=log["LogDestination"],
        TagSpecifications=cloud.tagged("vpc-flow-log"),
    )


breaks(
    "denied-versioned",
    forget_versions_of_denied_traffic=lambda cloud: cloud.s3.put_bucket_versioning(
        Bucket=cloud.bucket("denied-traffic"), VersioningConfiguration={"Status": "Suspended"}
    ),
)
