# The operator's way in: one small machine with a public address, SSH from the allowed addresses
# only, and Session Manager. In the profile `small` also the private subnets' way out.
data "aws_ssm_parameter" "bastion_image" {
  name = "/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-arm64"
}

locals {
  # Files copied to the machine unchanged, by their path there.
  bastion_files_folder = "${path.module}/../deploy/bastion/machine"
  way_out_files_folder = "${path.module}/../deploy/bastion/way-out"
}

resource "aws_key_pair" "operator" {
  count = length(var.allowed_bastion_ips) > 0 ? 1 : 0

  key_name   = "${var.name}-operator"
  public_key = trimspace(file(pathexpand(var.ssh_public_key_path)))
  tags       = { Name = "${var.name}-operator" }
}

resource "aws_instance" "bastion" {
  ami                         = data.aws_ssm_parameter.bastion_image.insecure_value
  instance_type               = "t4g.nano"
  subnet_id                   = values(aws_subnet.public)[0].id
  associate_public_ip_address = true
  vpc_security_group_ids      = [aws_security_group.role["bastion"].id]
  key_name                    = one(aws_key_pair.operator[*].key_name)
  iam_instance_profile        = aws_iam_instance_profile.bastion.name
  source_dest_check           = !local.out_by_bastion
  ebs_optimized               = true
  user_data_replace_on_change = true
  user_data = templatefile("${path.module}/../deploy/bastion/user-data.yaml.tftpl", {
    name          = var.name
    region        = local.region
    database_host = aws_db_instance.main.address
    secret_id     = aws_secretsmanager_secret.role["operator"].name
    log_group     = aws_cloudwatch_log_group.service["bastion"].name
    certificates  = file("${path.module}/../deploy/rds-us-east-1.pem")
    forward_from  = local.out_by_bastion ? join(", ", [for subnet in aws_subnet.private : subnet.cidr_block]) : ""
    files = merge(
      { for path in fileset(local.bastion_files_folder, "**") : path => file("${local.bastion_files_folder}/${path}") },
      { for path in fileset(local.way_out_files_folder, "**") : path => file("${local.way_out_files_folder}/${path}") if local.out_by_bastion },
    )
  })
  tags        = { Name = "${var.name}-bastion" }
  volume_tags = merge(local.tags, { Name = "${var.name}-bastion" })

  metadata_options {
    http_endpoint               = "enabled"
    http_tokens                 = "required"
    http_put_response_hop_limit = 1
  }

  root_block_device {
    volume_type = "gp3"
    volume_size = 8 # GiB, the least that Amazon Linux 2023 takes
    encrypted   = true
  }

  lifecycle {
    # Replace the machine on purpose for a newer image, not while somebody works on it.
    ignore_changes = [ami]
  }

  # It reads its password, writes its log and fetches packages when it starts.
  depends_on = [
    aws_iam_role_policy.bastion,
    aws_route.internet,
    aws_route_table_association.public,
    aws_vpc_security_group_egress_rule.bastion_https,
  ]
}

# Records Session Manager's sessions, as SSH's are.
resource "aws_ssm_document" "session" {
  name            = "${var.name}-session"
  document_type   = "Session"
  document_format = "JSON"
  tags            = { Name = "${var.name}-session" }

  content = jsonencode({
    schemaVersion = "1.0"
    description   = "A session on a machine of ${var.name}, kept in a log group"
    sessionType   = "Standard_Stream"
    inputs = {
      cloudWatchLogGroupName      = aws_cloudwatch_log_group.service["bastion"].name
      cloudWatchEncryptionEnabled = true
      cloudWatchStreamingEnabled  = true
      idleSessionTimeout          = "20" # minutes
    }
  })
}

resource "aws_iam_role" "bastion" {
  name                 = "${var.name}-bastion"
  description          = "What the bastion may do"
  assume_role_policy   = data.aws_iam_policy_document.machine_assume.json
  permissions_boundary = local.boundary_arn
  tags                 = { Name = "${var.name}-bastion" }
}

resource "aws_iam_instance_profile" "bastion" {
  name = "${var.name}-bastion"
  role = aws_iam_role.bastion.name
  tags = { Name = "${var.name}-bastion" }
}

resource "aws_iam_role_policy" "bastion" {
  name   = "${var.name}-bastion"
  role   = aws_iam_role.bastion.id
  policy = data.aws_iam_policy_document.bastion.json
}

data "aws_iam_policy_document" "bastion" {
  source_policy_documents = [data.aws_iam_policy_document.session.json]

  statement {
    sid       = "ReadOperatorsPassword"
    actions   = ["secretsmanager:GetSecretValue"]
    resources = [aws_secretsmanager_secret.role["operator"].arn]
  }

  statement {
    sid       = "DecryptOperatorsPassword"
    actions   = ["kms:Decrypt"]
    resources = [aws_kms_key.main.arn]

    condition {
      test     = "StringEquals"
      variable = "kms:EncryptionContext:SecretARN"
      values   = [aws_secretsmanager_secret.role["operator"].arn]
    }
  }
}
