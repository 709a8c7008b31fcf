# A log group a service; all kept as long and encrypted with the same key.
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

# Made before the database, which would otherwise make them itself, kept for ever.
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

# The prefix is the firewall's own rule.
resource "aws_cloudwatch_log_group" "firewall" {
  name              = "aws-waf-logs-${var.name}"
  retention_in_days = local.sizes.log_days
  kms_key_id        = aws_kms_key.main.arn
  tags              = { Name = "${var.name}-firewall" }
}
