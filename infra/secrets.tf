# Each service's database role has its own password. AWS makes it in memory, a write-only argument
# writes it to Secrets Manager, and it never enters the state.
locals {
  # The database roles; people on the bastion use `operator`, which may only read.
  database_roles = toset(["adder", "display", "reset", "operator"])
}

ephemeral "aws_secretsmanager_random_password" "role" {
  for_each = local.database_roles

  password_length     = 40
  exclude_punctuation = true
}

resource "aws_secretsmanager_secret" "role" {
  for_each = local.database_roles

  name                    = "${var.name}/${each.key}"
  description             = "How ${each.key} logs in to the database of ${var.name}"
  kms_key_id              = aws_kms_key.main.arn
  recovery_window_in_days = var.protect ? 30 : 0
  tags                    = { Name = "${var.name}-${each.key}", Role = each.key }
}

resource "aws_secretsmanager_secret_version" "role" {
  for_each = local.database_roles

  secret_id = aws_secretsmanager_secret.role[each.key].id
  secret_string_wo = jsonencode({
    username = "tally_${each.key}"
    password = ephemeral.aws_secretsmanager_random_password.role[each.key].random_password
  })
  secret_string_wo_version = var.password_version
}

# The token that resetting needs, made the same way; HTTP Basic's password in a browser.
ephemeral "aws_secretsmanager_random_password" "reset_token" {
  count = var.reset_needs_token ? 1 : 0

  password_length     = 40
  exclude_punctuation = true
}

resource "aws_secretsmanager_secret" "reset_token" {
  count = var.reset_needs_token ? 1 : 0

  name                    = "${var.name}/token-for-reset"
  description             = "What a reset of ${var.name} needs"
  kms_key_id              = aws_kms_key.main.arn
  recovery_window_in_days = var.protect ? 30 : 0
  tags                    = { Name = "${var.name}-token-for-reset" }
}

resource "aws_secretsmanager_secret_version" "reset_token" {
  count = var.reset_needs_token ? 1 : 0

  secret_id                = aws_secretsmanager_secret.reset_token[0].id
  secret_string_wo         = jsonencode({ token = ephemeral.aws_secretsmanager_random_password.reset_token[0].random_password })
  secret_string_wo_version = var.password_version
}
