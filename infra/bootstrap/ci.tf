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
