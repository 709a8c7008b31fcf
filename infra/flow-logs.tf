# Flow logs of every connection that a security group or network ACL refused, in a bucket.
# docs/deploy.md has the query.
resource "aws_flow_log" "denied" {
  vpc_id                   = aws_vpc.main.id
  traffic_type             = "REJECT"
  log_destination_type     = "s3"
  log_destination          = module.denied_traffic.arn
  max_aggregation_interval = 60 # seconds
  tags                     = { Name = "${var.name}-denied-traffic" }
}

module "denied_traffic" {
  source = "./modules/private-bucket"

  name          = "${var.name}-denied-traffic-${local.account_id}"
  key_arn       = aws_kms_key.main.arn
  expire_days   = local.sizes.log_days
  force_destroy = !var.protect
  policy        = data.aws_iam_policy_document.denied_traffic.json

  delivered = {
    account_id = local.account_id
    objects    = "AWSLogs/${local.account_id}/*"
    source     = local.flow_logs
  }
}

locals {
  flow_logs = "arn:aws:logs:${local.region}:${local.account_id}:*"
}

data "aws_iam_policy_document" "denied_traffic" {
  # AWS adds the first, too, to a bucket that it delivers to; without the second, which lists the bucket,
  # CloudTrail records errors.
  dynamic "statement" {
    for_each = { AWSLogDeliveryAclCheck = "s3:GetBucketAcl", LogDeliveryLists = "s3:ListBucket" }
    content {
      sid       = statement.key
      actions   = [statement.value]
      resources = ["arn:aws:s3:::${var.name}-denied-traffic-${local.account_id}"]

      principals {
        type        = "Service"
        identifiers = ["delivery.logs.amazonaws.com"]
      }

      condition {
        test     = "StringEquals"
        variable = "aws:SourceAccount"
        values   = [local.account_id]
      }

      condition {
        test     = "ArnLike"
        variable = "aws:SourceArn"
        values   = [local.flow_logs]
      }
    }
  }
}
