# Continuous integration's IAM roles: GitHub proves a job's repository, branch, workflow and environment,
# and the job gets a role for an hour or two, without keys.
locals {
  ci = var.github_repository == null ? {} : {
    build = {
      purpose     = "Push images and upload the release"
      workflow    = "build-containers.yml"
      environment = null
      seconds     = 3600 # the least
    }
    plan = {
      purpose     = "Read, to plan changes and to check the account"
      workflow    = "terraform-plan-apply.yml"
      environment = null
      seconds     = 3600
    }
    apply = {
      purpose     = "Change the deployment, from the protected environment only"
      workflow    = "terraform-plan-apply.yml"
      environment = var.github_environment
      seconds     = 7200 # a late rollback takes more than an hour
    }
    practise = {
      purpose     = "Restore a backup beside the database, audit it, and delete it"
      workflow    = "practise-restore.yml"
      environment = null
      seconds     = 7200 # a large database takes more than an hour
    }
  }

  # Claims of GitHub's token, all of which AWS compares (STS, since January 2026). The repository's id
  # outlasts its name, and nobody else gets it.
  ci_claims = {
    for role, it in local.ci : role => merge(
      {
        aud              = "sts.amazonaws.com"
        repository_id    = var.github_repository_id
        ref              = "refs/heads/main"
        job_workflow_ref = "${var.github_repository}/.github/workflows/${it.workflow}@refs/heads/main"
      },
      it.environment == null ? {} : { environment = it.environment },
    )
  }

  # IAM wants a condition on the subject, too. GitHub writes it with numbers for repositories that were
  # made, renamed or moved since July 2026, and without for others (GitHub changelog, 2026-04-23).
  ci_subjects = var.github_repository == null ? [] : [
    "repo:${var.github_repository}:*",
    "repo:${replace(var.github_repository, "/", "@*/")}@*:*",
  ]
}

resource "aws_iam_openid_connect_provider" "github" {
  count = var.github_repository != null && var.github_provider_arn == null ? 1 : 0

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
      identifiers = [coalesce(var.github_provider_arn, one(aws_iam_openid_connect_provider.github[*].arn))]
    }

    dynamic "condition" {
      for_each = local.ci_claims[each.key]
      content {
        test     = "StringEquals"
        variable = "token.actions.githubusercontent.com:${condition.key}"
        values   = [condition.value]
      }
    }

    condition {
      test     = "StringLike"
      variable = "token.actions.githubusercontent.com:sub"
      values   = local.ci_subjects
    }
  }
}

resource "aws_iam_role" "ci" {
  for_each = local.ci

  name                 = "${var.name}-ci-${each.key}"
  description          = each.value.purpose
  assume_role_policy   = data.aws_iam_policy_document.ci_assume[each.key].json
  max_session_duration = each.value.seconds
  tags                 = { Name = "${var.name}-ci-${each.key}" }
}

# Building: push the two images, upload the adder's file, find the newest machine image, and nothing of
# the deployment itself.
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

  statement {
    sid     = "ChooseMachineImage"
    actions = ["ssm:GetParameter"]
    # Amazon's own: it belongs to no account.
    resources = ["arn:aws:ssm:${local.region}::parameter/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-x86_64"]
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

# Planning, checking and applying: exactly the calls that Terraform and `tally check` make. A test
# records them and compares.
locals {
  ci_actions = jsondecode(file("${path.module}/ci-actions.json"))

  # Resources of this deployment, for the actions that can be narrowed to them; all else is narrowed to
  # the region.
  ci_resources = {
    storage  = ["arn:aws:s3:::${var.name}-*"]
    secrets  = ["arn:aws:secretsmanager:${local.region}:${local.account_id}:secret:${var.name}/*"]
    owner    = ["arn:aws:secretsmanager:${local.region}:${local.account_id}:secret:rds!*"]
    identity = [for kind in ["role", "instance-profile"] : "arn:aws:iam::${local.account_id}:${kind}/${var.name}-*"]
    # The schema step: what runs, what became of it, and its log.
    schema = [
      "arn:aws:ecs:${local.region}:${local.account_id}:task-definition/${var.name}-schema:*",
      "arn:aws:ecs:${local.region}:${local.account_id}:task/${var.name}-containers/*",
      "arn:aws:logs:${local.region}:${local.account_id}:log-group:/${var.name}/display:log-stream:schema/*",
    ]
    kept    = ["arn:aws:rds:${local.region}:${local.account_id}:snapshot:${var.name}-*"]
    bounded = ["arn:aws:iam::${local.account_id}:role/${var.name}-*"]
    passing = ["arn:aws:iam::${local.account_id}:role/${var.name}-*"]
  }

  # Further conditions: condition key to values.
  ci_conditions = {
    # Only for a role that has the boundary or gets it with the call; for any other the key is missing or
    # differs (AWS's service authorization reference, "iam:PermissionsBoundary").
    bounded = { "iam:PermissionsBoundary" = [aws_iam_policy.boundary.arn] }
    # Only to machines, tasks and the schedule.
    passing = { "iam:PassedToService" = [for service in ["ec2", "ecs-tasks", "scheduler"] : "${service}.amazonaws.com"] }
    # Only through these services on the caller's behalf: to read and write secrets, and to make a
    # database.
    through = { "kms:ViaService" = [for service in ["rds", "secretsmanager"] : "${service}.${local.region}.amazonaws.com"] }
  }

  # A role may have ten policies, so some groups share one: the secret of the database's owner, which
  # RDS makes as the caller; actions with further conditions.
  ci_policy_of = { owner = "secrets", bounded = "identity", passing = "identity", through = "data", kept = "data", schema = "compute" }
  ci_changes = {
    for policy in distinct([for group in keys(local.ci_actions.apply) : lookup(local.ci_policy_of, group, group)]) :
    "change-${policy}" => {
      for group, actions in local.ci_actions.apply : group => actions if lookup(local.ci_policy_of, group, group) == policy
    }
  }

  # One policy for a plan's reads, one for the check's, and one for each group of changes: a policy
  # holds 6144 characters.
  ci_policies = var.github_repository == null ? {} : merge(
    { read = local.ci_actions.plan, check = local.ci_actions.check },
    local.ci_changes,
  )

  ci_attachments = var.github_repository == null ? {} : merge(
    { for policy in ["read", "check"] : "plan-${policy}" => { role = "plan", policy = policy } },
    { for policy in concat(["read"], keys(local.ci_changes)) : "apply-${policy}" => { role = "apply", policy = policy } },
  )

  ci_policy_purposes = merge(
    { read = "What a plan reads", check = "What the check reads" },
    { for policy in keys(local.ci_changes) : policy => "What an apply changes: ${trimprefix(policy, "change-")}" },
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

      dynamic "condition" {
        for_each = lookup(local.ci_conditions, statement.key, {})
        content {
          test     = "StringEquals"
          variable = condition.key
          values   = condition.value
        }
      }
    }
  }

  # Not the roles of continuous integration itself, here or in another deployment whose name begins with
  # this one's.
  dynamic "statement" {
    for_each = each.key == "change-identity" ? ["OwnRoles"] : []
    content {
      sid       = statement.value
      effect    = "Deny"
      actions   = ["iam:*"]
      resources = [for name in ["ci-*", "*-ci-*"] : "arn:aws:iam::${local.account_id}:role/${var.name}-${name}"]
    }
  }

  # Nor the boundary: not to change it, not to remove it. No policy allows that today; this denies it in
  # future ones too.
  dynamic "statement" {
    for_each = each.key == "change-identity" ? ["Boundary"] : []
    content {
      sid    = statement.value
      effect = "Deny"
      actions = [
        "iam:CreatePolicyVersion",
        "iam:DeletePolicy",
        "iam:DeletePolicyVersion",
        "iam:DeleteRolePermissionsBoundary",
        "iam:SetDefaultPolicyVersion",
      ]
      resources = [for kind in ["policy", "role"] : "arn:aws:iam::${local.account_id}:${kind}/*"]
    }
  }

  # The key that seals plans only opens plans, which its own policy allows: a role that could rewrite
  # that policy could seal a plan that nobody approved.
  dynamic "statement" {
    for_each = each.key == "change-data" ? ["PlansKey"] : []
    content {
      sid         = statement.value
      effect      = "Deny"
      not_actions = ["kms:Decrypt"]
      resources   = [aws_kms_key.plans[0].arn, aws_kms_alias.plans[0].arn]
    }
  }
}

resource "aws_iam_policy" "ci" {
  for_each = local.ci_policies

  name        = "${var.name}-ci-${each.key}"
  description = local.ci_policy_purposes[each.key]
  policy      = data.aws_iam_policy_document.ci[each.key].json
  tags        = { Name = "${var.name}-ci-${each.key}" }
}

resource "aws_iam_role_policy_attachment" "ci" {
  for_each = local.ci_attachments

  role       = aws_iam_role.ci[each.value.role].name
  policy_arn = aws_iam_policy.ci[each.value.policy].arn
}
