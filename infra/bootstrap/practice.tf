# Practising a restore: make one database and delete it, and run one task that reads. No other database is
# made, changed or deleted.
locals {
  practice = {
    live     = "arn:aws:rds:${local.region}:${local.account_id}:db:${var.name}-database"
    restored = "arn:aws:rds:${local.region}:${local.account_id}:db:${var.name}-practice"
    # What the restored one shares with the live one: parameters, subnets, and RDS's own options.
    shared = [
      for kind in ["pg:${var.name}-*", "subgrp:${var.name}-*", "og:default:*"] :
      "arn:aws:rds:${local.region}:${local.account_id}:${kind}"
    ]
    tasks    = "arn:aws:ecs:${local.region}:${local.account_id}"
    schedule = "arn:aws:scheduler:${local.region}:${local.account_id}:schedule/default/${var.name}-restore-overdue"
  }
}

data "aws_iam_policy_document" "practise" {
  statement {
    sid       = "SeeBoth"
    actions   = ["rds:DescribeDBInstances"]
    resources = [local.practice.live, local.practice.restored]
  }

  # Of all that it names; the live database's name is taken, so nothing is made under that.
  statement {
    sid       = "Restore"
    actions   = ["rds:RestoreDBInstanceToPointInTime"]
    resources = concat([local.practice.live, local.practice.restored], local.practice.shared)
  }

  statement {
    sid       = "TagAndDelete"
    actions   = ["rds:AddTagsToResource", "rds:DeleteDBInstance"]
    resources = [local.practice.restored]
  }

  # RDS uses the key in the name of who restores (RDS's user guide, "AWS KMS key management").
  statement {
    sid       = "RestoreEncrypted"
    actions   = ["kms:CreateGrant", "kms:DescribeKey"]
    resources = ["arn:aws:kms:${local.region}:${local.account_id}:key/*"] # it does not exist yet

    condition {
      test     = "StringEquals"
      variable = "kms:ViaService"
      values   = ["rds.${local.region}.amazonaws.com"]
    }
  }

  statement {
    sid       = "FindTask"
    actions   = ["ecs:DescribeTaskDefinition"]
    resources = ["*"] # cannot be narrowed
  }

  statement {
    sid     = "RunTask"
    actions = ["ecs:DescribeServices", "ecs:DescribeTasks", "ecs:RunTask"]
    resources = [
      "${local.practice.tasks}:service/${var.name}-containers/${var.name}-display",
      "${local.practice.tasks}:task/${var.name}-containers/*",
      "${local.practice.tasks}:task-definition/${var.name}-practice:*",
    ]
  }

  statement {
    sid       = "PassRoles"
    actions   = ["iam:PassRole"]
    resources = [for role in ["practice-start", "practice-task", "restore-overdue"] : "arn:aws:iam::${local.account_id}:role/${var.name}-${role}"]

    condition {
      test     = "StringEquals"
      variable = "iam:PassedToService"
      values   = ["ecs-tasks.amazonaws.com", "scheduler.amazonaws.com"]
    }
  }

  statement {
    sid       = "ReadItsLog"
    actions   = ["logs:GetLogEvents"]
    resources = ["arn:aws:logs:${local.region}:${local.account_id}:log-group:/${var.name}/display:log-stream:practice/*"]
  }

  statement {
    sid       = "PutTheAlarmOff"
    actions   = ["scheduler:GetSchedule", "scheduler:UpdateSchedule"]
    resources = [local.practice.schedule]
  }
}

resource "aws_iam_policy" "practise" {
  count = var.github_repository == null ? 0 : 1

  name        = "${var.name}-ci-practise"
  description = local.ci["practise"].purpose
  policy      = data.aws_iam_policy_document.practise.json
  tags        = { Name = "${var.name}-ci-practise" }
}

resource "aws_iam_role_policy_attachment" "practise" {
  count = var.github_repository == null ? 0 : 1

  role       = aws_iam_role.ci["practise"].name
  policy_arn = aws_iam_policy.practise[0].arn
}
