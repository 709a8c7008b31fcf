# One task on Fargate: what it runs, and its IAM roles.
terraform {
  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = "~> 5.100"
    }
  }
}

locals {
  full_name = "${var.name}-${var.service}"
  # Each secret by its ARN; what stands behind that is a key of its JSON.
  secret_arns = sort(distinct([for reference in values(var.secrets) : join(":", slice(split(":", reference), 0, 7))]))
}

resource "aws_ecs_task_definition" "this" {
  family                   = local.full_name
  requires_compatibilities = ["FARGATE"]
  network_mode             = "awsvpc"
  cpu                      = var.cpu
  memory                   = var.memory
  execution_role_arn       = aws_iam_role.execution.arn
  task_role_arn            = aws_iam_role.task.arn
  # `terraform destroy` leaves no revision behind; a rollback plans the older release.
  skip_destroy = false
  tags         = { Name = local.full_name, Release = var.release_version }

  lifecycle {
    # A failed deployment rolls back to the older revision, which is removed when the newer one serves.
    create_before_destroy = true
  }

  runtime_platform {
    operating_system_family = "LINUX"
    cpu_architecture        = "X86_64"
  }

  container_definitions = jsonencode([merge(var.container, {
    name                   = var.service
    image                  = var.image
    essential              = true
    user                   = "10001:10001"
    privileged             = false
    readonlyRootFilesystem = true
    linuxParameters = {
      initProcessEnabled = true
      capabilities       = { add = [], drop = ["ALL"] }
    }
    mountPoints    = []
    volumesFrom    = []
    systemControls = []
    environment    = [for name, value in var.environment : { name = name, value = value }]
    secrets        = [for name, reference in var.secrets : { name = name, valueFrom = reference }]
    logConfiguration = {
      logDriver = "awslogs"
      options = merge(var.log_options, {
        awslogs-group         = var.log_group.name
        awslogs-region        = var.region
        awslogs-stream-prefix = var.service
      })
    }
  })])
}

data "aws_iam_policy_document" "assume" {
  statement {
    actions = ["sts:AssumeRole"]

    principals {
      type        = "Service"
      identifiers = ["ecs-tasks.amazonaws.com"]
    }

    # ECS on behalf of this account alone (ECS's developer guide, "Amazon ECS task IAM role").
    condition {
      test     = "StringEquals"
      variable = "aws:SourceAccount"
      values   = [data.aws_caller_identity.current.account_id]
    }
  }
}

# The running code's role: no permissions in AWS.
resource "aws_iam_role" "task" {
  name                 = "${local.full_name}-task"
  description          = "What the code of ${var.service} may do in AWS: nothing"
  assume_role_policy   = data.aws_iam_policy_document.assume.json
  permissions_boundary = var.boundary_arn
  tags                 = { Name = "${local.full_name}-task" }
}

# ECS's role for starting the task.
resource "aws_iam_role" "execution" {
  name                 = "${local.full_name}-start"
  description          = "Starting ${var.service}: its image, its secrets, its logs"
  assume_role_policy   = data.aws_iam_policy_document.assume.json
  permissions_boundary = var.boundary_arn
  tags                 = { Name = "${local.full_name}-start" }
}

resource "aws_iam_role_policy" "execution" {
  name   = "${local.full_name}-start"
  role   = aws_iam_role.execution.id
  policy = data.aws_iam_policy_document.execution.json
}

data "aws_caller_identity" "current" {}

data "aws_iam_policy_document" "execution" {
  statement {
    sid       = "LogInToRegistry"
    actions   = ["ecr:GetAuthorizationToken"]
    resources = ["*"] # cannot be narrowed
  }

  statement {
    sid       = "PullImage"
    actions   = ["ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]
    resources = ["arn:aws:ecr:${var.region}:${data.aws_caller_identity.current.account_id}:repository/${var.name}/${var.repository}"]
  }

  statement {
    sid       = "ReadPasswords"
    actions   = ["secretsmanager:GetSecretValue"]
    resources = local.secret_arns
  }

  statement {
    sid       = "DecryptPasswords"
    actions   = ["kms:Decrypt"]
    resources = [var.key_arn]

    condition {
      test     = "StringEquals"
      variable = "kms:EncryptionContext:SecretARN"
      values   = local.secret_arns
    }
  }

  statement {
    sid       = "WriteOwnLogs"
    actions   = ["logs:CreateLogStream", "logs:PutLogEvents"]
    resources = ["${var.log_group.arn}:*"]
  }
}

output "arn" {
  description = "The task definition, with its revision."
  value       = aws_ecs_task_definition.this.arn
}
