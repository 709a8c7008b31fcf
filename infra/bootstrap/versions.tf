# What must be there before the deployment: where its state, its release and its images lie, what
# bounds its roles, and how continuous integration gets in. An operator applies this once; the state
# stays beside it (it holds no secret), and docs/deploy.md keeps a copy of it in the state bucket.
terraform {
  required_version = ">= 1.11"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = "~> 5.100"
    }
  }
}

provider "aws" {
  region = "us-east-1"

  default_tags {
    tags = {
      Project    = "tally"
      Deployment = var.name
      Profile    = "bootstrap"
      ManagedBy  = "terraform"
    }
  }
}

data "aws_caller_identity" "current" {}

locals {
  account_id = data.aws_caller_identity.current.account_id
  region     = "us-east-1"
}
