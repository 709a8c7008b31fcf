# The key that seals plans until they are applied. The role that plans may seal and not open; the role
# that applies may open, only with the approved facts as encryption context (deploy/ci/seal.py).
resource "aws_kms_key" "plans" {
  count = var.github_repository == null ? 0 : 1

  description             = "Seals the plans of ${var.name} until they are applied"
  enable_key_rotation     = true
  deletion_window_in_days = 7 # the least; no plan is worth keeping
  policy                  = data.aws_iam_policy_document.plans[0].json
  tags                    = { Name = "${var.name}-plans" }
}

resource "aws_kms_alias" "plans" {
  count = var.github_repository == null ? 0 : 1

  name          = "alias/${var.name}-plans"
  target_key_id = aws_kms_key.plans[0].id
}

data "aws_iam_policy_document" "plans" {
  count = var.github_repository == null ? 0 : 1

  statement {
    sid       = "AccountAdministers"
    actions   = ["kms:*"]
    resources = ["*"] # this key

    principals {
      type        = "AWS"
      identifiers = ["arn:aws:iam::${local.account_id}:root"]
    }
  }

  statement {
    sid       = "PlanSeals"
    actions   = ["kms:GenerateDataKey"]
    resources = ["*"]

    principals {
      type        = "AWS"
      identifiers = [aws_iam_role.ci["plan"].arn]
    }
  }

  statement {
    sid       = "ApplyOpens"
    actions   = ["kms:Decrypt"]
    resources = ["*"]

    principals {
      type        = "AWS"
      identifiers = [aws_iam_role.ci["apply"].arn]
    }
  }

  # Whatever else the account grants, only the role that applies opens a plan.
  statement {
    sid       = "NobodyElseOpens"
    effect    = "Deny"
    actions   = ["kms:Decrypt"]
    resources = ["*"]

    principals {
      type        = "AWS"
      identifiers = ["*"]
    }

    condition {
      test     = "ArnNotEquals"
      variable = "aws:PrincipalArn"
      values   = [aws_iam_role.ci["apply"].arn]
    }
  }
}
