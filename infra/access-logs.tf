# Every request, in one bucket: as CloudFront had it from its visitor, with his address, and as the load
# balancer had it from CloudFront.
module "access_logs" {
  source = "./modules/private-bucket"

  name          = "${var.name}-access-logs-${local.account_id}"
  expire_days   = local.sizes.log_days
  force_destroy = !var.protect
  policy        = data.aws_iam_policy_document.access_logs.json
  # S3's own encryption: load balancers can't deliver with another key.

  # CloudFront's ("Logging that requires additional permissions [V2]").
  delivered = {
    account_id = local.account_id
    objects    = "AWSLogs/${local.account_id}/CloudFront/*"
    source     = "arn:aws:logs:${local.region}:${local.account_id}:delivery-source:*"
  }
}

data "aws_iam_policy_document" "access_logs" {
  statement {
    sid       = "LoadBalancerDelivers"
    actions   = ["s3:PutObject"]
    resources = ["arn:aws:s3:::${var.name}-access-logs-${local.account_id}/AWSLogs/${local.account_id}/*"]

    # Another account's load balancers write under that account's number.
    principals {
      type        = "Service"
      identifiers = ["logdelivery.elasticloadbalancing.amazonaws.com"]
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
