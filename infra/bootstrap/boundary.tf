# The permissions boundary: the most that any role of the deployment can do. The role that applies may
# make roles only within it; the bootstrap makes it, because that role must not change it.
#
# It allows the permissions of both profiles' roles in infra/ and nothing else; a test compares. Each
# role's own policy is narrower: one service's secret, one log group.
resource "aws_iam_policy" "boundary" {
  name        = "${var.name}-boundary"
  description = "The most that a role of ${var.name} can do"
  policy      = data.aws_iam_policy_document.boundary.json
  tags        = { Name = "${var.name}-boundary" }
}

locals {
  # The roles' own secrets, and the owner's, which RDS names.
  boundary_secrets = [
    for name in ["${var.name}/*", "rds!db-*"] :
    "arn:aws:secretsmanager:${local.region}:${local.account_id}:secret:${name}"
  ]
}

data "aws_iam_policy_document" "boundary" {
  statement {
    sid       = "ReadReleases"
    actions   = ["s3:GetObject"]
    resources = ["${module.releases.arn}/adder/*"]
  }

  statement {
    sid       = "PullImages"
    actions   = ["ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]
    resources = ["arn:aws:ecr:${local.region}:${local.account_id}:repository/${var.name}/*"]
  }

  statement {
    sid       = "ReadPasswords"
    actions   = ["secretsmanager:GetSecretValue"]
    resources = local.boundary_secrets
  }

  # The key does not exist yet, so a condition names its use.
  statement {
    sid       = "DecryptPasswords"
    actions   = ["kms:Decrypt"]
    resources = ["arn:aws:kms:${local.region}:${local.account_id}:key/*"]

    condition {
      test     = "StringLike"
      variable = "kms:EncryptionContext:SecretARN"
      values   = local.boundary_secrets
    }
  }

  statement {
    sid       = "WriteLogs"
    actions   = ["logs:CreateLogStream", "logs:DescribeLogStreams", "logs:PutLogEvents"]
    resources = ["arn:aws:logs:${local.region}:${local.account_id}:log-group:/${var.name}/*"]
  }

  statement {
    sid       = "WriteMetrics"
    actions   = ["cloudwatch:PutMetricData"]
    resources = ["*"]

    condition {
      test     = "StringLike"
      variable = "cloudwatch:namespace"
      values   = ["Tally"]
    }
  }

  statement {
    sid = "CannotBeNarrowed"
    actions = [
      "ecr:GetAuthorizationToken",
      "logs:DescribeLogGroups",
      "ssm:UpdateInstanceInformation",
      "ssmmessages:CreateControlChannel",
      "ssmmessages:CreateDataChannel",
      "ssmmessages:OpenControlChannel",
      "ssmmessages:OpenDataChannel",
    ]
    resources = ["*"]
  }
}
