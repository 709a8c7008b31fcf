# Terraform's state: versioned, so that a broken one can be restored. A file beside it, which S3 keeps
# exclusive, is its lock.
module "state" {
  source = "../modules/private-bucket"

  name            = "${var.name}-state-${local.account_id}"
  noncurrent_days = 365
  force_destroy   = !var.protect
}

# The adder's releases, each named by its commit and never replaced.
module "releases" {
  source = "../modules/private-bucket"

  name            = "${var.name}-releases-${local.account_id}"
  noncurrent_days = 365
  force_destroy   = !var.protect
}

resource "aws_ecr_repository" "service" {
  for_each = toset(["display", "reset"])

  name                 = "${var.name}/${each.key}"
  image_tag_mutability = "IMMUTABLE"
  force_delete         = !var.protect
  tags                 = { Name = "${var.name}-${each.key}" }

  image_scanning_configuration {
    scan_on_push = true
  }

  encryption_configuration {
    encryption_type = "AES256"
  }
}

resource "aws_ecr_lifecycle_policy" "service" {
  for_each = aws_ecr_repository.service

  repository = each.value.name
  policy = jsonencode({
    rules = [{
      rulePriority = 1
      # A running image must not expire, however many releases follow; images share most layers.
      description = "Keep the newest 1000 images"
      selection   = { tagStatus = "any", countType = "imageCountMoreThan", countNumber = 1000 }
      action      = { type = "expire" }
    }]
  })
}
