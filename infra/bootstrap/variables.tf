variable "name" {
  description = "Prefix of every name; the deployment must be given the same."
  type        = string
  default     = "tally"

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{0,14}[a-z0-9]$", var.name))
    error_message = "name must be 2 to 16 lower-case letters, digits and dashes, beginning with a letter and not ending with a dash."
  }
}

variable "github_repository" {
  description = "The GitHub repository whose workflows may build, plan and apply, as owner/name. Without one there are no roles for them."
  type        = string
  default     = null

  validation {
    condition     = var.github_repository == null || can(regex("^[A-Za-z0-9-]+/[A-Za-z0-9._-]+$", var.github_repository))
    error_message = "github_repository must be owner/name."
  }
}

variable "github_environment" {
  description = "The protected GitHub environment that alone may apply."
  type        = string
  default     = "production"

  validation {
    # A wildcard here would let any environment apply.
    condition     = can(regex("^[A-Za-z0-9_-]+$", var.github_environment))
    error_message = "github_environment must be letters, digits, dashes and underscores."
  }
}

variable "protect" {
  description = "Keeps buckets and repositories that are not empty from being destroyed. Apply once with false before `terraform destroy`."
  type        = bool
  default     = true
}
