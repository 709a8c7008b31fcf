variable "name" {
  description = "Prefix of every name; the same as the deployment's."
  type        = string
  default     = "tally"

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{0,14}[a-z0-9]$", var.name))
    error_message = "name must be 2 to 16 lower-case letters, digits and dashes, beginning with a letter and not ending with a dash."
  }
}

variable "github_repository" {
  description = "The GitHub repository whose workflows may build, plan and apply, as owner/name. Without one no roles are made for them."
  type        = string
  default     = null

  validation {
    condition     = var.github_repository == null || can(regex("^[A-Za-z0-9-]+/[A-Za-z0-9._-]+$", var.github_repository))
    error_message = "github_repository must be owner/name."
  }
}

variable "github_repository_id" {
  description = "The repository's number, which it keeps for ever: gh api repos/owner/name --jq .id"
  type        = string
  default     = null

  validation {
    condition     = var.github_repository_id == null || can(regex("^[1-9][0-9]*$", var.github_repository_id))
    error_message = "github_repository_id must be a number: gh api repos/owner/name --jq .id shows it."
  }

  validation {
    condition     = (var.github_repository == null) == (var.github_repository_id == null)
    error_message = "github_repository and github_repository_id go together: give both or neither."
  }
}

variable "github_provider_arn" {
  description = "The account's identity provider for GitHub, if it has one; an account can have only one. Otherwise one is made."
  type        = string
  default     = null

  validation {
    condition     = var.github_provider_arn == null || can(regex("^arn:aws:iam::[0-9]{12}:oidc-provider/token\\.actions\\.githubusercontent\\.com$", var.github_provider_arn))
    error_message = "github_provider_arn must be the ARN of an identity provider for token.actions.githubusercontent.com."
  }
}

variable "github_environment" {
  description = "The protected GitHub environment, the only one that may apply."
  type        = string
  default     = "production"

  validation {
    # A wildcard here would let any environment apply.
    condition     = can(regex("^[A-Za-z0-9_-]+$", var.github_environment))
    error_message = "github_environment must be letters, digits, dashes and underscores."
  }
}

variable "protect" {
  description = "Protects buckets and repositories that are not empty from deletion. Apply with false before `terraform destroy`."
  type        = bool
  default     = true
}
