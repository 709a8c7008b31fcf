# One topic, and an alarm for each condition that needs a person.
resource "aws_sns_topic" "alarms" {
  name              = "${var.name}-alarms"
  display_name      = "Alarms of ${var.name}"
  kms_master_key_id = aws_kms_key.main.arn
  tags              = { Name = "${var.name}-alarms" }
}

resource "aws_sns_topic_policy" "alarms" {
  arn    = aws_sns_topic.alarms.arn
  policy = data.aws_iam_policy_document.alarms.json
}

data "aws_iam_policy_document" "alarms" {
  statement {
    sid       = "AlarmsAndBudget"
    actions   = ["sns:Publish"]
    resources = [aws_sns_topic.alarms.arn]

    principals {
      type        = "Service"
      identifiers = ["cloudwatch.amazonaws.com", "budgets.amazonaws.com"]
    }

    condition {
      test     = "StringEquals"
      variable = "aws:SourceAccount"
      values   = [local.account_id]
    }
  }
}

resource "aws_sns_topic_subscription" "email" {
  count = var.alarm_email == null ? 0 : 1

  topic_arn = aws_sns_topic.alarms.arn
  protocol  = "email"
  endpoint  = var.alarm_email
}

locals {
  services = toset(["adder", "display", "reset"])
  notify   = [aws_sns_topic.alarms.arn]

  target_dimensions = {
    for service in local.services : service => {
      LoadBalancer = aws_lb.main.arn_suffix
      TargetGroup  = aws_lb_target_group.service[service].arn_suffix
    }
  }

  least_targets = {
    adder   = local.sizes.adder_machines
    display = local.sizes.display_tasks.min
    reset   = local.sizes.reset_tasks.min
  }

  # GiB. RDS grows the disk by itself when a tenth is left, which is at least 2 GiB (RDS's user guide,
  # "Managing capacity automatically"): with less it did not, or may not any more.
  low_storage_gib = 1.5
  # PostgreSQL on the smallest class accepts about 80 connections; the services hold far fewer.
  many_connections = 60
}

# Also rolls back a deployment.
resource "aws_cloudwatch_metric_alarm" "errors" {
  for_each = local.services

  alarm_name          = "${var.name}-${each.key}-errors"
  alarm_description   = "${each.key} answered 5xx ten times in a minute, two minutes running"
  namespace           = "AWS/ApplicationELB"
  metric_name         = "HTTPCode_Target_5XX_Count"
  dimensions          = local.target_dimensions[each.key]
  statistic           = "Sum"
  period              = 60
  evaluation_periods  = 2
  comparison_operator = "GreaterThanOrEqualToThreshold"
  threshold           = 10
  treat_missing_data  = "notBreaching"
  alarm_actions       = local.notify
  ok_actions          = local.notify
  tags                = { Name = "${var.name}-${each.key}-errors" }
}

# Fewer than there must be, and not some that are not healthy: at a release the new ones are not, until
# they serve, while the old ones are.
resource "aws_cloudwatch_metric_alarm" "unhealthy" {
  for_each = local.services

  alarm_name          = "${var.name}-${each.key}-unhealthy"
  alarm_description   = "${each.key} has had fewer than ${local.least_targets[each.key]} healthy targets for three minutes"
  namespace           = "AWS/ApplicationELB"
  metric_name         = "HealthyHostCount"
  dimensions          = local.target_dimensions[each.key]
  statistic           = "Minimum"
  period              = 60
  evaluation_periods  = 3
  comparison_operator = "LessThanThreshold"
  threshold           = local.least_targets[each.key]
  # Without a single target there is no data.
  treat_missing_data = "breaching"
  alarm_actions      = local.notify
  ok_actions         = local.notify
  tags               = { Name = "${var.name}-${each.key}-unhealthy" }
}

resource "aws_cloudwatch_metric_alarm" "latency" {
  for_each = local.services

  alarm_name          = "${var.name}-${each.key}-latency"
  alarm_description   = "One request in a hundred to ${each.key} waits a second or more, five minutes running"
  namespace           = "AWS/ApplicationELB"
  metric_name         = "TargetResponseTime"
  dimensions          = local.target_dimensions[each.key]
  extended_statistic  = "p99"
  period              = 60
  evaluation_periods  = 5
  comparison_operator = "GreaterThanOrEqualToThreshold"
  threshold           = 1
  treat_missing_data  = "notBreaching"
  alarm_actions       = local.notify
  ok_actions          = local.notify
  tags                = { Name = "${var.name}-${each.key}-latency" }
}

resource "aws_cloudwatch_metric_alarm" "load_balancer_errors" {
  alarm_name          = "${var.name}-load-balancer-errors"
  alarm_description   = "The load balancer itself answered 5xx: it got no answer from a service"
  namespace           = "AWS/ApplicationELB"
  metric_name         = "HTTPCode_ELB_5XX_Count"
  dimensions          = { LoadBalancer = aws_lb.main.arn_suffix }
  statistic           = "Sum"
  period              = 60
  evaluation_periods  = 2
  comparison_operator = "GreaterThanOrEqualToThreshold"
  threshold           = 10
  treat_missing_data  = "notBreaching"
  alarm_actions       = local.notify
  ok_actions          = local.notify
  tags                = { Name = "${var.name}-load-balancer-errors" }
}

resource "aws_cloudwatch_metric_alarm" "database_storage" {
  alarm_name          = "${var.name}-database-storage"
  alarm_description   = "The database has less than ${local.low_storage_gib} GiB left"
  namespace           = "AWS/RDS"
  metric_name         = "FreeStorageSpace"
  dimensions          = { DBInstanceIdentifier = aws_db_instance.main.identifier }
  statistic           = "Minimum"
  period              = 300
  evaluation_periods  = 2
  comparison_operator = "LessThanThreshold"
  threshold           = local.low_storage_gib * 1024 * 1024 * 1024
  treat_missing_data  = "breaching"
  alarm_actions       = local.notify
  ok_actions          = local.notify
  tags                = { Name = "${var.name}-database-storage" }
}

resource "aws_cloudwatch_metric_alarm" "database_connections" {
  alarm_name          = "${var.name}-database-connections"
  alarm_description   = "The database holds more than ${local.many_connections} connections"
  namespace           = "AWS/RDS"
  metric_name         = "DatabaseConnections"
  dimensions          = { DBInstanceIdentifier = aws_db_instance.main.identifier }
  statistic           = "Maximum"
  period              = 60
  evaluation_periods  = 5
  comparison_operator = "GreaterThanThreshold"
  threshold           = local.many_connections
  treat_missing_data  = "breaching"
  alarm_actions       = local.notify
  ok_actions          = local.notify
  tags                = { Name = "${var.name}-database-connections" }
}

resource "aws_cloudwatch_metric_alarm" "scaling_bound" {
  for_each = local.containers

  alarm_name        = "${var.name}-${each.key}-scaling-bound"
  alarm_description = "${each.key} has run as many tasks as it may for ten minutes: raise the bound or find out why"
  namespace         = local.sizes.detailed_metrics ? "ECS/ContainerInsights" : "AWS/ApplicationELB"
  metric_name       = local.sizes.detailed_metrics ? "DesiredTaskCount" : "HealthyHostCount"
  dimensions = (local.sizes.detailed_metrics
    ? { ClusterName = aws_ecs_cluster.main.name, ServiceName = "${var.name}-${each.key}" }
    : local.target_dimensions[each.key]
  )
  statistic           = "Minimum"
  period              = 60
  evaluation_periods  = 10
  comparison_operator = "GreaterThanOrEqualToThreshold"
  # With equal bounds the alarm must never ring, so its threshold is one above them.
  threshold          = each.value.tasks.max + (each.value.tasks.min == each.value.tasks.max ? 1 : 0)
  treat_missing_data = "notBreaching"
  alarm_actions      = local.notify
  ok_actions         = local.notify
  tags               = { Name = "${var.name}-${each.key}-scaling-bound" }
}

# Where it is the way out: what serves goes on without it, so nobody would notice before something has to start.
resource "aws_cloudwatch_metric_alarm" "bastion" {
  count = local.out_by_bastion ? 1 : 0

  alarm_name          = "${var.name}-bastion"
  alarm_description   = "The bastion, the services' way out, has failed EC2's status checks for five minutes"
  namespace           = "AWS/EC2"
  metric_name         = "StatusCheckFailed"
  dimensions          = { InstanceId = aws_instance.bastion.id }
  statistic           = "Maximum"
  period              = 60
  evaluation_periods  = 5
  comparison_operator = "GreaterThanOrEqualToThreshold"
  threshold           = 1
  # A machine that is stopped says nothing.
  treat_missing_data = "breaching"
  alarm_actions      = local.notify
  ok_actions         = local.notify
  tags               = { Name = "${var.name}-bastion" }
}
