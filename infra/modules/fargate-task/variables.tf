variable "name" {
  description = "Prefix of every name."
  type        = string
}

variable "service" {
  description = "What runs, after which the task, its roles and its container are named."
  type        = string
}

variable "region" {
  description = "The region, for the log driver."
  type        = string
}

variable "image" {
  description = "The image, by digest."
  type        = string
}

variable "repository" {
  description = "The image's repository, without the prefix."
  type        = string
}

variable "release_version" {
  description = "The git commit that the image was built from."
  type        = string
}

variable "cpu" {
  description = "CPU units; 1024 are one."
  type        = number
}

variable "memory" {
  description = "Memory in MiB."
  type        = number
}

variable "container" {
  description = "What this container has beside what every one has."
  type        = any
}

variable "environment" {
  description = "Environment variables: name to value."
  type        = map(string)
}

variable "secrets" {
  description = "Secrets: environment variable to ECS reference. No others can be read."
  type        = map(string)
}

variable "log_group" {
  description = "The CloudWatch log group."
  type        = object({ name = string, arn = string })
}

variable "log_options" {
  description = "Options of the log driver beside where the log goes."
  type        = map(string)
}

variable "key_arn" {
  description = "The KMS key of the secrets."
  type        = string
}

variable "boundary_arn" {
  description = "The permissions boundary of the roles."
  type        = string
}
