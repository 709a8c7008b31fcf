terraform {
  # Write-only arguments and ephemeral resources, which keep secrets out of the state, need 1.11.
  required_version = ">= 1.11"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = "~> 5.100"
    }
  }

  # bootstrap/ makes the bucket and prints what `terraform init` needs.
  backend "s3" {
    key          = "tally.tfstate"
    region       = "us-east-1"
    encrypt      = true
    use_lockfile = true
  }
}

provider "aws" {
  region = "us-east-1"

  default_tags {
    tags = local.tags
  }
}
