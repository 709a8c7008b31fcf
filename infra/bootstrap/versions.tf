# What the deployment needs first: storage for its state, releases and images, its permissions
# boundary, and continuous integration's roles. An operator applies this once; its state, which holds
# no secret, stays beside it, with a copy in the state bucket (docs/deploy.md).
terraform {
  required_version = ">= 1.11"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = "~> 5.100"
    }
    # Reads the file of the deployment's variables (deploy/ci/preparing.py).
    terraform = {
      source = "terraform.io/builtin/terraform"
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
