# Display and reset on Fargate.
resource "aws_ecs_cluster" "main" {
  name = "${var.name}-containers"
  tags = { Name = "${var.name}-containers" }

  setting {
    name  = "containerInsights"
    value = local.sizes.detailed_metrics ? "enabled" : "disabled"
  }

  depends_on = [aws_cloudwatch_log_group.containers]
}

locals {
  containers = {
    display = {
      image               = var.release.display_image
      tasks               = local.sizes.display_tasks
      requests_per_target = local.sizes.display_requests
    }
    reset = {
      image               = var.release.reset_image
      tasks               = local.sizes.reset_tasks
      requests_per_target = local.reset_requests_per_target
    }
  }

  # A service goes on serving while the bastion is away: it does not wait for its log to be taken. That is the
  # default of accounts since June 2025 unless they set another (ECS's developer guide, "Task definition
  # parameters", `mode`).
  log_options = local.out_by_bastion ? { mode = "non-blocking", max-buffer-size = "10m" } : {}

  # What each container gets: a key of a secret's JSON, as ECS names it.
  passwords = { for role, secret in aws_secretsmanager_secret.role : role => "${secret.arn}:password::" }
  tokens = {
    display = {}
    reset   = { for secret in aws_secretsmanager_secret.reset_token : "TALLY_RESET_TOKEN" => "${secret.arn}:token::" }
  }
}

module "container" {
  source   = "./modules/fargate-service"
  for_each = local.containers

  name                = var.name
  service             = each.key
  region              = local.region
  cluster_arn         = aws_ecs_cluster.main.arn
  cluster_name        = aws_ecs_cluster.main.name
  image               = each.value.image
  release_version     = var.release.version
  password_version    = var.password_version
  cpu                 = local.sizes.task_cpu
  memory              = local.sizes.task_memory
  tasks               = each.value.tasks
  requests_per_target = each.value.requests_per_target
  # CloudWatch's name for the pair: load balancer, then target group.
  request_count_label = "${aws_lb.main.arn_suffix}/${aws_lb_target_group.service[each.key].arn_suffix}"

  subnet_ids        = [for subnet in aws_subnet.private : subnet.id]
  security_group_id = aws_security_group.role[each.key].id
  target_group_arn  = aws_lb_target_group.service[each.key].arn
  port              = local.service_port
  log_group         = aws_cloudwatch_log_group.service[each.key]
  log_options       = local.log_options
  rollback_alarm    = aws_cloudwatch_metric_alarm.errors[each.key].alarm_name

  hosts        = local.hosts
  database_url = local.database_url[each.key]
  secrets      = merge({ PGPASSWORD = local.passwords[each.key] }, local.tokens[each.key])
  schema       = terraform_data.schema.id
  key_arn      = aws_kms_key.main.arn
  boundary_arn = local.boundary_arn

  # Starting containers fetch passwords through the endpoints; their target group must belong to the
  # load balancer. Where the bastion is the way out, the schema step has waited for it.
  depends_on = [
    aws_lb_listener_rule.route,
    aws_secretsmanager_secret_version.reset_token,
    aws_secretsmanager_secret_version.role,
    aws_vpc_endpoint.interface,
    aws_vpc_endpoint.s3,
  ]
}
