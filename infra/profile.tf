# What the profiles differ in, and what everything shares.
locals {
  # `display_requests`: requests a minute for each display task at which another is added. Half of the
  # pages, the dearest requests, that docs/benchmarks.md measured from a display with as much processor
  # as the profile's tasks; the other half is for the minutes until a new task serves.
  profiles = {
    small = {
      multi_az = false
      # How the private subnets reach AWS's services: docs/decisions/0010-way-out.md.
      way_out            = "bastion"
      detailed_metrics   = false
      adder_machines     = 1
      adder_type         = "t3.micro"
      display_tasks      = { min = 1, max = 2 }
      display_requests   = 3900
      reset_tasks        = { min = 1, max = 1 }
      task_cpu           = 256
      task_memory        = 512
      database_class     = "db.t4g.micro"
      backup_days        = 7 # the least that RDS.11 accepts
      log_days           = 365
      monthly_budget_usd = 100
    }
    production = {
      multi_az           = true
      way_out            = "endpoints"
      detailed_metrics   = true
      adder_machines     = 2
      adder_type         = "t3.small"
      display_tasks      = { min = 2, max = 10 }
      display_requests   = 72800
      reset_tasks        = { min = 2, max = 3 }
      task_cpu           = 512
      task_memory        = 1024
      database_class     = "db.t4g.medium"
      backup_days        = 14
      log_days           = 365
      monthly_budget_usd = 450
    }
  }
  sizes = local.profiles[var.profile]

  out_by_endpoints = local.sizes.way_out == "endpoints"
  out_by_bastion   = local.sizes.way_out == "bastion"

  # Resets are rare; this is far above what people do and only protects the service.
  reset_requests_per_target = 500

  # Every service listens here inside its task or machine.
  service_port  = 8080
  database_port = 5432

  tags = {
    Project    = "tally"
    Deployment = var.name
    Profile    = var.profile
    ManagedBy  = "terraform"
  }

  account_id     = data.aws_caller_identity.current.account_id
  region         = data.aws_region.current.name
  has_domain     = var.domain_name != null
  release_bucket = "${var.name}-releases-${local.account_id}"
  # The permissions boundary; made by bootstrap/.
  boundary_arn = "arn:aws:iam::${local.account_id}:policy/${var.name}-boundary"
}

data "aws_caller_identity" "current" {}

data "aws_region" "current" {}
