# A log group for each service, all with one retention and one key.
locals {
  log_groups = toset(["adder", "display", "reset", "bastion"])
}

resource "aws_cloudwatch_log_group" "service" {
  for_each = local.log_groups

  name              = "/${var.name}/${each.key}"
  retention_in_days = local.sizes.log_days
  kms_key_id        = aws_kms_key.main.arn
  tags              = { Name = "${var.name}-${each.key}" }
}

# Made before the database, which would otherwise make them with unlimited retention.
resource "aws_cloudwatch_log_group" "database" {
  for_each = toset(["postgresql", "upgrade"])

  name              = "/aws/rds/instance/${var.name}-database/${each.key}"
  retention_in_days = local.sizes.log_days
  kms_key_id        = aws_kms_key.main.arn
  tags              = { Name = "${var.name}-database-${each.key}" }
}

# The same for Container Insights.
resource "aws_cloudwatch_log_group" "containers" {
  name              = "/aws/ecs/containerinsights/${var.name}-containers/performance"
  retention_in_days = local.sizes.log_days
  kms_key_id        = aws_kms_key.main.arn
  tags              = { Name = "${var.name}-containers" }
}

# AWS WAF requires this prefix.
resource "aws_cloudwatch_log_group" "firewall" {
  name              = "aws-waf-logs-${var.name}"
  retention_in_days = local.sizes.log_days
  kms_key_id        = aws_kms_key.main.arn
  tags              = { Name = "${var.name}-firewall" }
}
