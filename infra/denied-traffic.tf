# Who was refused: every connection that a security group or network list turned away, kept in a
# bucket. docs/deploy.md has the query.
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

data "aws_iam_policy_document" "denied_traffic" {
  statement {
    sid       = "FlowLogsDeliver"
    actions   = ["s3:PutObject"]
    resources = ["arn:aws:s3:::${var.name}-denied-traffic-${local.account_id}/AWSLogs/${local.account_id}/*"]

    principals {
      type        = "Service"
      identifiers = ["delivery.logs.amazonaws.com"]
    }

    condition {
      test     = "StringEquals"
      variable = "aws:SourceAccount"
      values   = [local.account_id]
    }
  }

  statement {
    sid       = "FlowLogsCheck"
    actions   = ["s3:GetBucketAcl", "s3:ListBucket"]
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
  }
}
