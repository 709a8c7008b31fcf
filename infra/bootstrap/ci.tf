# Continuous integration's way in: GitHub proves which repository and which branch or environment a
# job runs for, and gets a role for an hour. There are no keys to keep or lose.
locals {
  ci = var.github_repository == null ? {} : {
    build = {
      purpose  = "Push images and upload the release"
      subjects = ["repo:${var.github_repository}:ref:refs/heads/main"]
    }
    plan = {
      purpose  = "Read, to show what would change"
      subjects = ["repo:${var.github_repository}:ref:refs/heads/main", "repo:${var.github_repository}:pull_request"]
    }
    apply = {
      purpose  = "Change the deployment, from the protected environment alone"
      subjects = ["repo:${var.github_repository}:environment:${var.github_environment}"]
    }
  }
}

resource "aws_iam_openid_connect_provider" "github" {
  count = var.github_repository == null ? 0 : 1

  url            = "https://token.actions.githubusercontent.com"
  client_id_list = ["sts.amazonaws.com"]
  tags           = { Name = "${var.name}-github" }
}

data "aws_iam_policy_document" "ci_assume" {
  for_each = local.ci

  statement {
    actions = ["sts:AssumeRoleWithWebIdentity"]

    principals {
      type        = "Federated"
      identifiers = [aws_iam_openid_connect_provider.github[0].arn]
    }

    condition {
      test     = "StringEquals"
      variable = "token.actions.githubusercontent.com:aud"
      values   = ["sts.amazonaws.com"]
    }

    condition {
      test     = "StringEquals"
      variable = "token.actions.githubusercontent.com:sub"
      values   = each.value.subjects
    }
  }
}

resource "aws_iam_role" "ci" {
  for_each = local.ci

  name                 = "${var.name}-ci-${each.key}"
  description          = each.value.purpose
  assume_role_policy   = data.aws_iam_policy_document.ci_assume[each.key].json
  max_session_duration = 3600 # seconds, the least
  tags                 = { Name = "${var.name}-ci-${each.key}" }
}

# Building: push the two images, upload the adder's file, and nothing of the deployment itself.
data "aws_iam_policy_document" "build" {
  statement {
    sid       = "LogInToRegistry"
    actions   = ["ecr:GetAuthorizationToken"]
    resources = ["*"] # cannot be narrowed
  }

  statement {
    sid = "PushImages"
    actions = [
      "ecr:BatchCheckLayerAvailability",
      "ecr:BatchGetImage",
      "ecr:CompleteLayerUpload",
      "ecr:DescribeImages",
      "ecr:GetDownloadUrlForLayer",
      "ecr:InitiateLayerUpload",
      "ecr:PutImage",
      "ecr:UploadLayerPart",
    ]
    resources = [for repository in aws_ecr_repository.service : repository.arn]
  }

  statement {
    sid       = "UploadRelease"
    actions   = ["s3:GetObject", "s3:PutObject"]
    resources = ["${module.releases.arn}/*"]
  }

  statement {
    sid       = "SeeWhatIsThere"
    actions   = ["s3:ListBucket"]
    resources = [module.releases.arn]
  }
}

resource "aws_iam_policy" "build" {
  count = var.github_repository == null ? 0 : 1

  name        = "${var.name}-ci-build"
  description = local.ci["build"].purpose
  policy      = data.aws_iam_policy_document.build.json
  tags        = { Name = "${var.name}-ci-build" }
}

resource "aws_iam_role_policy_attachment" "build" {
  count = var.github_repository == null ? 0 : 1

  role       = aws_iam_role.ci["build"].name
  policy_arn = aws_iam_policy.build[0].arn
}

# Planning and applying: exactly the calls that Terraform makes. A test records them and compares.
locals {
  ci_actions = jsondecode(file("${path.module}/ci-actions.json"))

  # Where an action can be narrowed to what is this deployment's; everything else is narrowed to
  # the region.
  ci_resources = {
    storage  = ["arn:aws:s3:::${var.name}-*"]
    secrets  = ["arn:aws:secretsmanager:${local.region}:${local.account_id}:secret:${var.name}/*"]
    identity = [for kind in ["role", "instance-profile"] : "arn:aws:iam::${local.account_id}:${kind}/${var.name}-*"]
  }

  # One policy for reading, one for each group of changes: a policy has room for 6144 letters.
  ci_policies = var.github_repository == null ? {} : merge(
    { read = local.ci_actions.plan },
    { for group, actions in local.ci_actions.apply : "change-${group}" => { (group) = actions } if length(actions) > 0 },
  )

  ci_attachments = var.github_repository == null ? {} : merge(
    { plan-read = { role = "plan", policy = "read" } },
    { for policy in keys(local.ci_policies) : "apply-${policy}" => { role = "apply", policy = policy } },
  )
}

data "aws_iam_policy_document" "ci" {
  for_each = local.ci_policies

  dynamic "statement" {
    for_each = { for group, actions in each.value : group => actions if length(actions) > 0 }
    content {
      sid       = title(statement.key)
      actions   = statement.value
      resources = lookup(local.ci_resources, statement.key, ["*"])

      condition {
        test     = "StringEquals"
        variable = "aws:RequestedRegion"
        values   = [local.region]
      }
    }
  }

  # A plan takes the state's lock, an object beside it, and changes nothing else.
  dynamic "statement" {
    for_each = each.key == "read" ? ["LockState"] : []
    content {
      sid       = statement.value
      actions   = ["s3:DeleteObject", "s3:PutObject"]
      resources = ["${module.state.arn}/*.tflock"]
    }
  }

  # Whoever may make roles must not make over the roles that let them in.
  dynamic "statement" {
    for_each = each.key == "change-identity" ? ["OwnRoles"] : []
    content {
      sid       = statement.value
      effect    = "Deny"
      actions   = ["iam:*"]
      resources = ["arn:aws:iam::${local.account_id}:role/${var.name}-ci-*"]
    }
  }
}

resource "aws_iam_policy" "ci" {
  for_each = local.ci_policies

  name        = "${var.name}-ci-${each.key}"
  description = each.key == "read" ? "What a plan reads" : "What an apply changes: ${trimprefix(each.key, "change-")}"
  policy      = data.aws_iam_policy_document.ci[each.key].json
  tags        = { Name = "${var.name}-ci-${each.key}" }
}

resource "aws_iam_role_policy_attachment" "ci" {
  for_each = local.ci_attachments

  role       = aws_iam_role.ci[each.value.role].name
  policy_arn = aws_iam_policy.ci[each.value.policy].arn
}
