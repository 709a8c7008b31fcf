# Stands in for infra/ where a test runs the workflows: the same variables and state, and something
# that is made within a second.
terraform {
  required_version = ">= 1.11"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = "~> 5.100"
    }
  }

  backend "s3" {
    key          = "tally.tfstate"
    region       = "us-east-1"
    encrypt      = true
    use_lockfile = true
  }
}

provider "aws" {
  region = "us-east-1"
}

variable "name" {
  type = string
}

variable "ssh_public_key_path" {
  type = string
}

variable "release" {
  type = object({
    version       = string
    display_image = string
    reset_image   = string
    adder_key     = string
    adder_sha256  = string
    adder_image   = string
  })
}

resource "aws_ssm_parameter" "release" {
  name  = "/${var.name}/release"
  type  = "String"
  value = var.release.version
}

# Read when planning and again when applying, as by the real module.
resource "aws_ssm_parameter" "key" {
  name  = "/${var.name}/operator"
  type  = "String"
  value = file(pathexpand(var.ssh_public_key_path))
}

output "release" {
  value = var.release.version
}
