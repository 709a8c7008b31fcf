# Every request, in one bucket: as CloudFront had it from its visitor, with his address, and as the load
# balancer had it from CloudFront.
module "access_logs" {
  source = "./modules/private-bucket"

  name          = "${var.name}-access-logs-${local.account_id}"
  expire_days   = local.sizes.log_days
  force_destroy = !var.protect
  policy        = data.aws_iam_policy_document.access_logs.json
  # S3's own encryption: load balancers can't deliver with another key.
}

locals {
  access_logs = "arn:aws:s3:::${var.name}-access-logs-${local.account_id}/AWSLogs/${local.account_id}"
}

data "aws_iam_policy_document" "access_logs" {
  statement {
    sid       = "LoadBalancerDelivers"
    actions   = ["s3:PutObject"]
    resources = ["${local.access_logs}/*"]

    # Another account's load balancers write under that account's number.
    principals {
      type        = "Service"
      identifiers = ["logdelivery.elasticloadbalancing.amazonaws.com"]
    }
  }

  # As AWS's guide to logs sent to S3 has it ("Logging that requires additional permissions [V2]").
  statement {
    sid       = "AWSLogDeliveryWrite"
    actions   = ["s3:PutObject"]
    resources = ["${local.access_logs}/CloudFront/*"]

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
      values   = ["arn:aws:logs:${local.region}:${local.account_id}:delivery-source:*"]
    }
  }
}

resource "aws_cloudwatch_log_delivery_source" "visitors" {
  name         = "${var.name}-visitors"
  log_type     = "ACCESS_LOGS"
  resource_arn = aws_cloudfront_distribution.main.arn
  tags         = { Name = "${var.name}-visitors" }
}

resource "aws_cloudwatch_log_delivery_destination" "visitors" {
  name          = "${var.name}-visitors"
  output_format = "json"
  tags          = { Name = "${var.name}-visitors" }

  delivery_destination_configuration {
    destination_resource_arn = module.access_logs.arn
  }
}

resource "aws_cloudwatch_log_delivery" "visitors" {
  delivery_source_name     = aws_cloudwatch_log_delivery_source.visitors.name
  delivery_destination_arn = aws_cloudwatch_log_delivery_destination.visitors.arn
  tags                     = { Name = "${var.name}-visitors" }

  s3_delivery_configuration {
    suffix_path = "{DistributionId}/{yyyy}/{MM}/{dd}/{HH}"
  }
}
