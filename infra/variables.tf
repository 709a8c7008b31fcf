variable "allowed_bastion_ips" {
  description = "IPv4 ranges from which the bastion answers to SSH, such as [\"203.0.113.7/32\"]. An empty list closes SSH and leaves only Session Manager."
  type        = list(string)

  validation {
    condition     = alltrue([for range in var.allowed_bastion_ips : can(cidrnetmask(range))])
    error_message = "Each entry of allowed_bastion_ips must be an IPv4 range such as 203.0.113.7/32 (the network has no IPv6, so ::/0 and the like are refused)."
  }

  validation {
    # A /16 is the largest network that a company site is likely to have; this also refuses 0.0.0.0/0.
    condition     = alltrue([for range in var.allowed_bastion_ips : try(tonumber(split("/", range)[1]) >= 16, false)])
    error_message = "The ranges of allowed_bastion_ips must be /16 or narrower; 0.0.0.0/0 in particular would open SSH to the internet."
  }

  validation {
    # Each range takes one of a network ACL's 20 rules (AWS's default quota).
    condition     = length(var.allowed_bastion_ips) <= 10
    error_message = "allowed_bastion_ips may hold at most 10 ranges."
  }
}

variable "release" {
  description = "The release: the git commit, both containers' images by digest, the adder's file in the release bucket with its SHA-256, and its machine image."
  type = object({
    version       = string
    display_image = string
    reset_image   = string
    adder_key     = string
    adder_sha256  = string
    adder_image   = string
  })

  validation {
    condition     = can(regex("^[0-9a-f]{40}$", var.release.version))
    error_message = "release.version must be a full git commit: 40 hexadecimal digits."
  }

  validation {
    condition = alltrue([
      for image in [var.release.display_image, var.release.reset_image] :
      can(regex("^[a-z0-9][a-z0-9._:/-]*@sha256:[0-9a-f]{64}$", image))
    ])
    error_message = "release.display_image and release.reset_image must name an image by digest: repository@sha256:... (64 hexadecimal digits)."
  }

  validation {
    condition     = can(regex("^adder/[A-Za-z0-9._/-]+$", var.release.adder_key))
    error_message = "release.adder_key must begin with adder/, and go on with letters, digits, dots, dashes, underscores and slashes."
  }

  validation {
    condition     = can(regex("^[0-9a-f]{64}$", var.release.adder_sha256))
    error_message = "release.adder_sha256 must be a SHA-256: 64 hexadecimal digits."
  }

  validation {
    condition     = can(regex("^ami-[0-9a-f]{8,17}$", var.release.adder_image))
    error_message = "release.adder_image must be a machine image's id: ami- and 8 to 17 hexadecimal digits."
  }
}

variable "name" {
  description = "Prefix of every name, and the value of the tag Deployment; the same as bootstrap's."
  type        = string
  default     = "tally"

  validation {
    # 16 leaves room for the longest suffix in the 32 characters of a load balancer's name.
    condition     = can(regex("^[a-z][a-z0-9-]{0,14}[a-z0-9]$", var.name))
    error_message = "name must be 2 to 16 lower-case letters, digits and dashes, beginning with a letter and not ending with a dash."
  }
}

variable "profile" {
  description = "Sizes: \"production\" (everything in two zones) or \"small\" (the cheapest that is still private and encrypted)."
  type        = string
  default     = "production"

  validation {
    condition     = contains(["production", "small"], var.profile)
    error_message = "profile must be \"production\" or \"small\"."
  }
}

variable "domain_name" {
  description = "The domain to serve at, such as tally.example.com. Without one, CloudFront's own name serves."
  type        = string
  default     = null

  validation {
    condition     = var.domain_name == null || can(regex("^([a-z0-9]([a-z0-9-]*[a-z0-9])?\\.)+[a-z]{2,}$", var.domain_name))
    error_message = "domain_name must be a lower-case host name such as tally.example.com."
  }

  validation {
    condition     = (var.domain_name == null) == (var.domain_zone_id == null)
    error_message = "domain_name and domain_zone_id go together: give both or neither."
  }
}

variable "domain_zone_id" {
  description = "The Route 53 hosted zone that domain_name lies in, such as Z0123456789ABCDEFGHIJ."
  type        = string
  default     = null

  validation {
    condition     = var.domain_zone_id == null || can(regex("^[A-Z0-9]{8,32}$", var.domain_zone_id))
    error_message = "domain_zone_id must be a hosted zone's id, such as Z0123456789ABCDEFGHIJ."
  }
}

variable "ssh_public_key_path" {
  description = "The public key for logins to the bastion. Read only if allowed_bastion_ips is not empty."
  type        = string
  default     = "~/.ssh/id_rsa.pub"

  validation {
    condition     = length(var.allowed_bastion_ips) == 0 || fileexists(pathexpand(var.ssh_public_key_path))
    error_message = "There is no file at ssh_public_key_path; make a key with ssh-keygen or give another path."
  }
}

variable "alarm_email" {
  description = "The address for alarms and budget warnings. Without one, nobody gets them."
  type        = string
  default     = null

  validation {
    condition     = var.alarm_email == null || can(regex("^[^@\\s]+@[^@\\s]+\\.[^@\\s]+$", var.alarm_email))
    error_message = "alarm_email must be an e-mail address."
  }
}

variable "monthly_budget_usd" {
  description = "The budget in US dollars a month. By default somewhat above the profile's cost."
  type        = number
  default     = null

  validation {
    condition     = var.monthly_budget_usd == null || try(var.monthly_budget_usd > 0, false)
    error_message = "monthly_budget_usd must be above 0."
  }
}

variable "protect" {
  description = "Protects the database, the load balancer and the logs from deletion. Apply with false before `terraform destroy`."
  type        = bool
  default     = true
}

variable "reset_needs_token" {
  description = "Whether to reset, or undo a reset, takes the token that `terraform output reset_token` says how to read. With false everybody may."
  type        = bool
  default     = true
}

variable "password_version" {
  description = "Raise it by one to give every service's database role a new password, and resetting a new token."
  type        = number
  default     = 1

  validation {
    condition     = var.password_version >= 1 && floor(var.password_version) == var.password_version
    error_message = "password_version must be a whole number from 1."
  }
}
