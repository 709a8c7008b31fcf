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
}

locals {
  denied_traffic_bucket = "arn:aws:s3:::${var.name}-denied-traffic-${local.account_id}"
}

data "aws_iam_policy_document" "denied_traffic" {
  # AWS adds the first two statements to a bucket that it delivers to; without the same text here,
  # each apply would remove them again.
  statement {
    sid       = "AWSLogDeliveryWrite"
    actions   = ["s3:PutObject"]
    resources = ["${local.denied_traffic_bucket}/AWSLogs/${local.account_id}/*"]

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
      test     = "StringEquals"
      variable = "s3:x-amz-acl"
      values   = ["bucket-owner-full-control"]
    }

    condition {
      test     = "ArnLike"
      variable = "aws:SourceArn"
      values   = ["arn:aws:logs:${local.region}:${local.account_id}:*"]
    }
  }

  # The delivery also lists the bucket; without the third, CloudTrail records errors.
  dynamic "statement" {
    for_each = { AWSLogDeliveryAclCheck = "s3:GetBucketAcl", LogDeliveryLists = "s3:ListBucket" }
    content {
      sid       = statement.key
      actions   = [statement.value]
      resources = [local.denied_traffic_bucket]

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
        values   = ["arn:aws:logs:${local.region}:${local.account_id}:*"]
      }
    }
  }
}
