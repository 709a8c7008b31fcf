# The adder on virtual machines: a fixed number, replaced on a new release, rolled back if that fails.
locals {
  # Files copied to the machine unchanged, by their path there.
  adder_files_folder = "${path.module}/../deploy/adder/machine"
  adder_files        = { for path in fileset(local.adder_files_folder, "**") : path => file("${local.adder_files_folder}/${path}") }

  adder_user_data = templatefile("${path.module}/../deploy/adder/user-data.yaml.tftpl", {
    name           = var.name
    region         = local.region
    release_bucket = local.release_bucket
    adder_key      = var.release.adder_key
    adder_sha256   = var.release.adder_sha256
    version        = var.release.version
    secret_id      = aws_secretsmanager_secret.role["adder"].name
    database_host  = aws_db_instance.main.address
    hosts          = local.hosts
    log_group      = aws_cloudwatch_log_group.service["adder"].name
    certificates   = file("${path.module}/../deploy/rds-us-east-1.pem")
    files          = local.adder_files
  })

  # A machine reads its password when it starts, so a new password version needs a new machine.
  adder_machine_tags = merge(local.tags, {
    Name            = "${var.name}-adder"
    Release         = var.release.version
    PasswordVersion = tostring(var.password_version)
  })
}

resource "aws_launch_template" "adder" {
  name                   = "${var.name}-adder"
  description            = "The adder's machines"
  image_id               = var.release.adder_image
  instance_type          = local.sizes.adder_type
  user_data              = base64gzip(local.adder_user_data)
  update_default_version = true
  ebs_optimized          = true
  tags                   = { Name = "${var.name}-adder" }

  iam_instance_profile {
    arn = aws_iam_instance_profile.adder.arn
  }

  metadata_options {
    http_endpoint               = "enabled"
    http_tokens                 = "required"
    http_put_response_hop_limit = 1
  }

  monitoring {
    enabled = local.sizes.detailed_metrics
  }

  network_interfaces {
    associate_public_ip_address = false
    delete_on_termination       = true
    security_groups             = [aws_security_group.role["adder"].id]
  }

  block_device_mappings {
    device_name = "/dev/xvda"

    ebs {
      volume_type           = "gp3"
      volume_size           = 10 # GiB: the system, two releases, a week of logs
      encrypted             = true
      delete_on_termination = true
    }
  }

  dynamic "tag_specifications" {
    for_each = toset(["instance", "volume", "network-interface"])
    content {
      resource_type = tag_specifications.value
      tags          = local.adder_machine_tags
    }
  }
}

resource "aws_autoscaling_group" "adder" {
  name                = "${var.name}-adder"
  vpc_zone_identifier = [for subnet in aws_subnet.private : subnet.id]
  target_group_arns   = [aws_lb_target_group.service["adder"].arn]
  min_size            = local.sizes.adder_machines
  desired_capacity    = local.sizes.adder_machines
  # A refresh starts the new machine before it ends the old one.
  max_size = local.sizes.adder_machines * 2

  health_check_type = "ELB"
  # Seconds a machine has from its start to install the packages and the release.
  health_check_grace_period = 300
  enabled_metrics           = ["GroupInServiceInstances", "GroupDesiredCapacity"]

  # The first apply waits until that many machines answer.
  wait_for_elb_capacity = local.sizes.adder_machines

  launch_template {
    id      = aws_launch_template.adder.id
    version = aws_launch_template.adder.latest_version
  }

  dynamic "tag" {
    for_each = merge(local.tags, { Name = "${var.name}-adder" })
    content {
      key   = tag.key
      value = tag.value
      # The launch template tags the machines.
      propagate_at_launch = false
    }
  }

  lifecycle {
    # Only a successful replacement, below, gives the group a new version.
    ignore_changes = [launch_template]
  }

  # A starting machine fetches packages, release and password through the endpoints, as its role may, or by the
  # bastion, which the schema step has waited for.
  depends_on = [
    aws_iam_role_policy.adder,
    aws_lb_listener_rule.route,
    aws_secretsmanager_secret_version.role,
    aws_vpc_endpoint.interface,
    aws_vpc_endpoint.s3,
    terraform_data.schema,
  ]
}

# Replaces the machines by those of the newest launch template. A failure fails the apply; the next
# one tries again.
resource "terraform_data" "adder_machines" {
  triggers_replace = [aws_launch_template.adder.id, aws_launch_template.adder.latest_version]

  provisioner "local-exec" {
    interpreter = ["sh"]
    command     = "${path.module}/../deploy/adder/replace-machines"

    environment = {
      AWS_DEFAULT_REGION = local.region
      GROUP              = aws_autoscaling_group.adder.name
      TEMPLATE           = aws_launch_template.adder.id
      VERSION            = aws_launch_template.adder.latest_version
      ALARM              = aws_cloudwatch_metric_alarm.errors["adder"].alarm_name
      # During the grace period even a machine that does not answer counts as healthy.
      WARMUP = aws_autoscaling_group.adder.health_check_grace_period + 30 # seconds
      # All start at once and take about nine. A rollback takes as long.
      MINUTES = 20
    }
  }

  # If the containers roll back, the machines stay as they are.
  depends_on = [module.container]
}

resource "aws_iam_role" "adder" {
  name                 = "${var.name}-adder"
  description          = "What the adder's machines may do"
  assume_role_policy   = data.aws_iam_policy_document.machine_assume.json
  permissions_boundary = local.boundary_arn
  tags                 = { Name = "${var.name}-adder" }
}

data "aws_iam_policy_document" "machine_assume" {
  statement {
    actions = ["sts:AssumeRole"]

    principals {
      type        = "Service"
      identifiers = ["ec2.amazonaws.com"]
    }
  }
}

resource "aws_iam_instance_profile" "adder" {
  name = "${var.name}-adder"
  role = aws_iam_role.adder.name
  tags = { Name = "${var.name}-adder" }
}

resource "aws_iam_role_policy" "adder" {
  name   = "${var.name}-adder"
  role   = aws_iam_role.adder.id
  policy = data.aws_iam_policy_document.adder.json
}

data "aws_iam_policy_document" "adder" {
  statement {
    sid     = "ReadReleases"
    actions = ["s3:GetObject"]
    # Any release: a machine that starts during a rollback has the older one's user data, whose
    # checksum decides which release runs.
    resources = ["arn:aws:s3:::${local.release_bucket}/adder/*"]
  }

  statement {
    sid       = "ReadOwnPassword"
    actions   = ["secretsmanager:GetSecretValue"]
    resources = [aws_secretsmanager_secret.role["adder"].arn]
  }

  statement {
    sid       = "DecryptOwnPassword"
    actions   = ["kms:Decrypt"]
    resources = [aws_kms_key.main.arn]

    condition {
      test     = "StringEquals"
      variable = "kms:EncryptionContext:SecretARN"
      values   = [aws_secretsmanager_secret.role["adder"].arn]
    }
  }

  statement {
    sid       = "WriteOwnLogs"
    actions   = ["logs:CreateLogStream", "logs:PutLogEvents", "logs:DescribeLogStreams"]
    resources = ["${aws_cloudwatch_log_group.service["adder"].arn}:*"]
  }

  source_policy_documents = [data.aws_iam_policy_document.session.json]
}

data "aws_iam_policy_document" "session" {
  # Sessions on every machine are recorded in the bastion's log group.
  statement {
    sid       = "KeepSessions"
    actions   = ["logs:CreateLogStream", "logs:PutLogEvents", "logs:DescribeLogStreams"]
    resources = ["${aws_cloudwatch_log_group.service["bastion"].arn}:*"]
  }

  statement {
    sid       = "FindLogGroup"
    actions   = ["logs:DescribeLogGroups"]
    resources = ["*"] # cannot be narrowed
  }

  # What Session Manager needs, and no more of AmazonSSMManagedInstanceCore.
  # None of these actions can be narrowed to a resource.
  statement {
    sid = "SessionManager"
    actions = [
      "ssm:UpdateInstanceInformation",
      "ssmmessages:CreateControlChannel",
      "ssmmessages:CreateDataChannel",
      "ssmmessages:OpenControlChannel",
      "ssmmessages:OpenDataChannel",
    ]
    resources = ["*"]
  }
}
