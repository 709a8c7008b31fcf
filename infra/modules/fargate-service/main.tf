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
  full_name = "${var.name}-${var.service}"
}

module "task" {
  source = "../fargate-task"

  name            = var.name
  service         = var.service
  region          = var.region
  image           = var.image
  repository      = var.service
  release_version = var.release_version
  cpu             = var.cpu
  memory          = var.memory
  log_group       = var.log_group
  log_options     = var.log_options
  key_arn         = var.key_arn
  boundary_arn    = var.boundary_arn
  secrets         = var.secrets

  environment = {
    TALLY_DATABASE_URL     = var.database_url
    TALLY_HOST             = "0.0.0.0"
    TALLY_HOSTS            = var.hosts
    TALLY_LOG              = "json"
    TALLY_PASSWORD_VERSION = var.password_version
    TALLY_PORT             = var.port
  }

  container = {
    command      = ["serve", var.service]
    portMappings = [{ containerPort = var.port, hostPort = var.port, protocol = "tcp" }]
    # Seconds; the services stop within ten.
    stopTimeout = 30
    healthCheck = {
      command     = ["CMD", "python3", "-I", "-S", "/opt/tally/lib/tally/services/health.py", var.service]
      interval    = 10
      timeout     = 5
      retries     = 3
      startPeriod = 30
    }
  }
}

# For deployments of before the task had a module of its own.
moved {
  from = aws_ecs_task_definition.this
  to   = module.task.aws_ecs_task_definition.this
}

moved {
  from = aws_iam_role.task
  to   = module.task.aws_iam_role.task
}

moved {
  from = aws_iam_role.execution
  to   = module.task.aws_iam_role.execution
}

moved {
  from = aws_iam_role_policy.execution
  to   = module.task.aws_iam_role_policy.execution
}

resource "aws_ecs_service" "this" {
  name                   = local.full_name
  cluster                = var.cluster_arn
  task_definition        = module.task.arn
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
  # Seconds for the start.
  health_check_grace_period_seconds = 60
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

  # New code serves under the schema that it needs. A task that starts before its role may read its image and
  # secrets counts as a failed deployment.
  depends_on = [module.task, var.schema]
}

# Waits until the deployment is completed. A rollback fails the apply; the next one tries again.
resource "terraform_data" "deployment" {
  triggers_replace = [module.task.arn]

  provisioner "local-exec" {
    interpreter = ["sh"]
    command     = "${path.module}/../../../deploy/containers/await-deployment"

    environment = {
      AWS_DEFAULT_REGION = var.region
      CLUSTER            = var.cluster_arn
      SERVICE            = aws_ecs_service.this.name
      TASK_DEFINITION    = module.task.arn
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

output "service_name" {
  description = "The ECS service."
  value       = aws_ecs_service.this.name
}
