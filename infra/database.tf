# PostgreSQL: private, encrypted, and only over TLS.
resource "aws_db_subnet_group" "main" {
  name        = "${var.name}-database"
  description = "The database subnets of ${var.name}"
  subnet_ids  = [for subnet in aws_subnet.database : subnet.id]
  tags        = { Name = "${var.name}-database" }
}

resource "aws_db_parameter_group" "main" {
  name        = "${var.name}-postgres17"
  family      = "postgres17"
  description = "TLS only, and a log that answers questions"
  tags        = { Name = "${var.name}-postgres17" }

  parameter {
    name  = "rds.force_ssl"
    value = "1"
  }

  parameter {
    name  = "log_connections"
    value = "1"
  }

  parameter {
    name  = "log_disconnections"
    value = "1"
  }

  # Milliseconds. A batch or a read takes a few; a second is worth a line.
  parameter {
    name  = "log_min_duration_statement"
    value = "1000"
  }

  lifecycle {
    create_before_destroy = true
  }
}

# Gives the final snapshot a name that no earlier one has taken. On destroy, after the database and before the
# key: keeps readable what only the key can read.
resource "terraform_data" "final_snapshot" {
  triggers_replace = { key = aws_kms_key.main.arn, region = local.region }

  provisioner "local-exec" {
    when        = destroy
    interpreter = ["sh"]
    command     = "${path.module}/../deploy/database/keep-snapshots"

    environment = {
      AWS_DEFAULT_REGION = self.triggers_replace.region
      KEY                = self.triggers_replace.key
    }
  }
}

resource "aws_db_instance" "main" {
  identifier     = "${var.name}-database"
  engine         = "postgres"
  engine_version = "17"
  instance_class = local.sizes.database_class
  db_name        = "tally"
  port           = local.database_port

  username                      = "tally_owner"
  manage_master_user_password   = true
  master_user_secret_kms_key_id = aws_kms_key.main.arn

  storage_type      = "gp3"
  allocated_storage = 20 # GiB, the least of gp3
  # An entry takes about 150 bytes with its indexes, so this is room for over half a billion.
  max_allocated_storage = 100
  storage_encrypted     = true
  kms_key_id            = aws_kms_key.main.arn

  multi_az               = local.sizes.multi_az
  db_subnet_group_name   = aws_db_subnet_group.main.name
  vpc_security_group_ids = [aws_security_group.role["database"].id]
  publicly_accessible    = false

  parameter_group_name                = aws_db_parameter_group.main.name
  ca_cert_identifier                  = "rds-ca-rsa2048-g1"
  iam_database_authentication_enabled = true
  auto_minor_version_upgrade          = true
  apply_immediately                   = false

  # UTC; night in the Americas.
  backup_window             = "06:00-06:30"
  maintenance_window        = "sun:07:00-sun:08:00"
  backup_retention_period   = local.sizes.backup_days
  copy_tags_to_snapshot     = true
  delete_automated_backups  = !var.protect
  deletion_protection       = var.protect
  skip_final_snapshot       = false
  final_snapshot_identifier = "${var.name}-final-${substr(terraform_data.final_snapshot.id, 0, 8)}"

  enabled_cloudwatch_logs_exports       = ["postgresql", "upgrade"]
  performance_insights_enabled          = true
  performance_insights_kms_key_id       = aws_kms_key.main.arn
  performance_insights_retention_period = 7 # days; the free ones

  tags = { Name = "${var.name}-database" }

  depends_on = [aws_cloudwatch_log_group.database]

  lifecycle {
    # A restored database has no such secret until it is told to make one.
    postcondition {
      condition     = length(self.master_user_secret) == 1
      error_message = "RDS manages no secret for the owner's password: see \"Restore a backup\" in docs/deploy.md."
    }
  }
}

locals {
  # Without user and password: each service connects as its own role.
  database_url = {
    for role in ["owner", "adder", "display", "reset", "operator"] :
    role => "postgresql://tally_${role}@${aws_db_instance.main.address}:${local.database_port}/tally?sslmode=verify-full&sslrootcert=/opt/tally/rds-us-east-1.pem"
  }
  owner_secret_arn = one(aws_db_instance.main.master_user_secret[*].secret_arn)
}
