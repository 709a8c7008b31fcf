# What practising a restore needs (.github/workflows/practise-restore.yml): a task that reads the live
# database and one that is restored beside it, and an alarm when none has succeeded for too long.
module "practice" {
  source = "./modules/fargate-task"

  name            = var.name
  service         = "practice"
  region          = local.region
  image           = var.release.display_image # every image can run it
  repository      = "display"
  release_version = var.release.version
  cpu             = local.sizes.task_cpu
  memory          = local.sizes.task_memory
  log_group       = aws_cloudwatch_log_group.service["display"]
  log_options     = local.log_options
  key_arn         = aws_kms_key.main.arn
  boundary_arn    = local.boundary_arn

  # Who runs it gives the command, and the restored database's address. The operator may read everything
  # and change nothing, and the password comes with the data.
  environment = { TALLY_DATABASE_URL = local.database_url["operator"] }
  secrets     = { PGPASSWORD = local.passwords["operator"] }
  container   = { command = ["audit", "--json"], portMappings = [] }
}

locals {
  # Days after the last practised restore.
  restore_overdue_days = 40
  restore_overdue      = { namespace = "Tally", name = "RestoreOverdue", dimensions = { Deployment = var.name } }
}

# Begins to write the metric when no practised restore has moved its start, which each one that succeeds
# does. An alarm alone sees seven days at most (docs/decisions/0033-practised-restore.md).
resource "aws_scheduler_schedule" "restore_overdue" {
  name        = "${var.name}-restore-overdue"
  description = "No restore has been practised yet"
  start_date  = timeadd(timestamp(), "${24 * local.restore_overdue_days}h")
  # Twice in each period of the alarm.
  schedule_expression = "rate(12 hours)"

  flexible_time_window {
    mode = "OFF"
  }

  target {
    arn      = "arn:aws:scheduler:::aws-sdk:cloudwatch:putMetricData"
    role_arn = aws_iam_role.restore_overdue.arn

    input = jsonencode({
      Namespace = local.restore_overdue.namespace
      MetricData = [{
        MetricName = local.restore_overdue.name
        Dimensions = [for name, value in local.restore_overdue.dimensions : { Name = name, Value = value }]
        Value      = 1
      }]
    })
  }

  lifecycle {
    # A practised restore writes them.
    ignore_changes = [description, start_date]
  }

  depends_on = [aws_iam_role_policy.restore_overdue]
}

resource "aws_cloudwatch_metric_alarm" "restore_overdue" {
  alarm_name          = "${var.name}-restore-overdue"
  alarm_description   = "No practised restore has succeeded for ${local.restore_overdue_days} days"
  namespace           = local.restore_overdue.namespace
  metric_name         = local.restore_overdue.name
  dimensions          = local.restore_overdue.dimensions
  statistic           = "Maximum"
  period              = 86400
  evaluation_periods  = 1
  comparison_operator = "GreaterThanOrEqualToThreshold"
  threshold           = 1
  # Nothing is written as long as all is well.
  treat_missing_data = "notBreaching"
  alarm_actions      = local.notify
  ok_actions         = local.notify
  tags               = { Name = "${var.name}-restore-overdue" }
}

data "aws_iam_policy_document" "restore_overdue_assume" {
  statement {
    actions = ["sts:AssumeRole"]

    principals {
      type        = "Service"
      identifiers = ["scheduler.amazonaws.com"]
    }

    condition {
      test     = "StringEquals"
      variable = "aws:SourceAccount"
      values   = [local.account_id]
    }
  }
}

resource "aws_iam_role" "restore_overdue" {
  name                 = "${var.name}-restore-overdue"
  description          = "Writing the metric of the alarm on practised restores"
  assume_role_policy   = data.aws_iam_policy_document.restore_overdue_assume.json
  permissions_boundary = local.boundary_arn
  tags                 = { Name = "${var.name}-restore-overdue" }
}

data "aws_iam_policy_document" "restore_overdue" {
  statement {
    sid       = "WriteMetric"
    actions   = ["cloudwatch:PutMetricData"]
    resources = ["*"] # cannot be narrowed

    condition {
      test     = "StringEquals"
      variable = "cloudwatch:namespace"
      values   = [local.restore_overdue.namespace]
    }
  }
}

resource "aws_iam_role_policy" "restore_overdue" {
  name   = "${var.name}-restore-overdue"
  role   = aws_iam_role.restore_overdue.id
  policy = data.aws_iam_policy_document.restore_overdue.json
}
