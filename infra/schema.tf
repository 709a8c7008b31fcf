# The schema step: once an apply that changes the release, the passwords or the database, before anything serves
# under that. It alone gets the owner's password.
module "schema" {
  source = "./modules/fargate-task"

  name            = var.name
  service         = "schema"
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

  environment = {
    TALLY_DATABASE_URL     = local.database_url["owner"]
    TALLY_PASSWORD_VERSION = var.password_version
  }

  # It sets each role's password from its secret. Another database has another secret of its owner's.
  secrets = merge(
    { PGPASSWORD = "${local.owner_secret_arn}:password::" },
    { for role, reference in local.passwords : "TALLY_${upper(role)}_PASSWORD" => reference },
  )

  container = { command = ["migrate"], portMappings = [] }
}

# Runs it and waits. A failure fails the apply, with nothing of what serves replaced; the next one tries again.
# Where the bastion is the way out, a new bastion needs minutes until it forwards: the step can start once it
# does, and what starts later waits for the step.
resource "terraform_data" "schema" {
  triggers_replace = concat([module.schema.arn], local.out_by_bastion ? [aws_instance.bastion.id] : [])

  provisioner "local-exec" {
    interpreter = ["sh"]
    command     = "${path.module}/../deploy/containers/run-schema-step"

    environment = {
      AWS_DEFAULT_REGION = local.region
      CLUSTER            = aws_ecs_cluster.main.name
      TASK_DEFINITION    = module.schema.arn
      SUBNETS            = join(",", [for subnet in aws_subnet.private : subnet.id])
      # It reaches what the display does.
      SECURITY_GROUP = aws_security_group.role["display"].id
      LOG_GROUP      = aws_cloudwatch_log_group.service["display"].name
      MINUTES        = local.out_by_bastion ? 15 : 5
    }
  }

  # What it needs to start and to reach the database.
  depends_on = [
    aws_route.bastion,
    aws_route_table_association.private,
    aws_secretsmanager_secret_version.role,
    aws_vpc_endpoint.interface,
    aws_vpc_endpoint.s3,
    aws_vpc_security_group_egress_rule.flow,
    aws_vpc_security_group_egress_rule.s3,
    aws_vpc_security_group_egress_rule.way_out,
    aws_vpc_security_group_ingress_rule.flow,
    aws_vpc_security_group_ingress_rule.way_out,
    module.schema,
  ]
}
