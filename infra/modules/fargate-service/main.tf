# One service on Fargate: its task, its scaling and its IAM roles.
terraform {
  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = "~> 5.100"
    }
  }
}

locals {
  full_name   = "${var.name}-${var.service}"
  secret_arns = concat(var.secret_arns, values(var.tokens))

  hardened = {
    image                  = var.image
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
  }
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

  container_definitions = jsonencode([
    merge(local.hardened, {
      # Brings the schema, the roles and their passwords up to date before the new code serves. Only
      # this container gets the owner's password.
      name         = "schema"
      command      = ["migrate"]
      essential    = false
      portMappings = []
      environment  = [{ name = "TALLY_DATABASE_URL", value = var.owner_url }]
      secrets      = [for name in sort(keys(var.schema_secrets)) : { name = name, valueFrom = var.schema_secrets[name] }]
      logConfiguration = {
        logDriver = "awslogs"
        options = {
          awslogs-group         = var.log_group.name
          awslogs-region        = var.region
          awslogs-stream-prefix = "schema"
        }
      }
    }),
    merge(local.hardened, {
      name         = var.service
      command      = ["serve", var.service]
      essential    = true
      dependsOn    = [{ containerName = "schema", condition = "SUCCESS" }]
      portMappings = [{ containerPort = var.port, hostPort = var.port, protocol = "tcp" }]
      environment = [
        { name = "TALLY_DATABASE_URL", value = var.database_url },
        { name = "TALLY_HOST", value = "0.0.0.0" },
        { name = "TALLY_HOSTS", value = var.hosts },
        { name = "TALLY_LOG", value = "json" },
        { name = "TALLY_PASSWORD_VERSION", value = tostring(var.password_version) },
        { name = "TALLY_PORT", value = tostring(var.port) },
      ]
      secrets = concat(
        [{ name = "PGPASSWORD", valueFrom = "${var.secret_arn}:password::" }],
        [for name, secret in var.tokens : { name = name, valueFrom = "${secret}:token::" }],
      )
      # Seconds; the services stop within ten.
      stopTimeout = 30
      healthCheck = {
        command     = ["CMD", "python3", "-I", "-S", "/opt/tally/lib/tally/services/health.py", var.service]
        interval    = 10
        timeout     = 5
        retries     = 3
        startPeriod = 30
      }
      logConfiguration = {
        logDriver = "awslogs"
        options = {
          awslogs-group         = var.log_group.name
          awslogs-region        = var.region
          awslogs-stream-prefix = var.service
        }
      }
    }),
  ])
}

resource "aws_ecs_service" "this" {
  name                   = local.full_name
  cluster                = var.cluster_arn
  task_definition        = aws_ecs_task_definition.this.arn
  desired_count          = var.tasks.min
  launch_type            = "FARGATE"
  platform_version       = "LATEST"
  enable_execute_command = false
  propagate_tags         = "SERVICE"
  tags                   = { Name = local.full_name }

  # A new task serves before an old one ends.
  deployment_minimum_healthy_percent = 100
  deployment_maximum_percent         = 200
  availability_zone_rebalancing      = "ENABLED"
  # Seconds for the schema step and the start.
  health_check_grace_period_seconds = 120
  enable_ecs_managed_tags           = true

  deployment_circuit_breaker {
    enable   = true
    rollback = true
  }

  alarms {
    enable      = true
    rollback    = true
    alarm_names = [var.rollback_alarm]
  }

  network_configuration {
    subnets          = var.subnet_ids
    security_groups  = [var.security_group_id]
    assign_public_ip = false
  }

  load_balancer {
    target_group_arn = var.target_group_arn
    container_name   = var.service
    container_port   = var.port
  }

  lifecycle {
    # The scaler's.
    ignore_changes = [desired_count]
  }

  # A task that starts before its role may read its image and secrets counts as a failed deployment.
  depends_on = [aws_iam_role_policy.execution]
}

# Waits until the deployment is completed. A rollback fails the apply; the next one tries again.
resource "terraform_data" "deployment" {
  triggers_replace = [aws_ecs_task_definition.this.arn]

  provisioner "local-exec" {
    interpreter = ["sh"]
    command     = "${path.module}/../../../deploy/containers/await-deployment"

    environment = {
      AWS_DEFAULT_REGION = var.region
      CLUSTER            = var.cluster_arn
      SERVICE            = aws_ecs_service.this.name
      TASK_DEFINITION    = aws_ecs_task_definition.this.arn
      MINUTES            = 25
    }
  }
}

resource "aws_appautoscaling_target" "this" {
  service_namespace  = "ecs"
  resource_id        = "service/${var.cluster_name}/${aws_ecs_service.this.name}"
  scalable_dimension = "ecs:service:DesiredCount"
  min_capacity       = var.tasks.min
  max_capacity       = var.tasks.max
  tags               = { Name = local.full_name }
}

resource "aws_appautoscaling_policy" "requests" {
  name               = "${local.full_name}-requests"
  policy_type        = "TargetTrackingScaling"
  service_namespace  = aws_appautoscaling_target.this.service_namespace
  resource_id        = aws_appautoscaling_target.this.resource_id
  scalable_dimension = aws_appautoscaling_target.this.scalable_dimension

  target_tracking_scaling_policy_configuration {
    target_value = var.requests_per_target
    # Seconds. Out quickly, since a task starts in under a minute; in slowly, so that a lull does not
    # remove it.
    scale_out_cooldown = 60
    scale_in_cooldown  = 300

    predefined_metric_specification {
      predefined_metric_type = "ALBRequestCountPerTarget"
      resource_label         = var.request_count_label
    }
  }
}

data "aws_iam_policy_document" "assume" {
  statement {
    actions = ["sts:AssumeRole"]

    principals {
      type        = "Service"
      identifiers = ["ecs-tasks.amazonaws.com"]
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
    resources = ["arn:aws:ecr:${var.region}:${data.aws_caller_identity.current.account_id}:repository/${var.name}/${var.service}"]
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

output "service_name" {
  description = "The ECS service."
  value       = aws_ecs_service.this.name
}
