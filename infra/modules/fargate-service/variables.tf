variable "name" {
  description = "Prefix of every name."
  type        = string
}

variable "service" {
  description = "The service, as `tally serve` names it."
  type        = string
}

variable "region" {
  description = "The region, for the log driver."
  type        = string
}

variable "cluster_arn" {
  description = "The ECS cluster."
  type        = string
}

variable "cluster_name" {
  description = "The same cluster's name, for scaling."
  type        = string
}

variable "image" {
  description = "The image, by digest."
  type        = string
}

variable "release_version" {
  description = "The git commit that the image was built from."
  type        = string
}

variable "password_version" {
  description = "The passwords' version; a new one starts new tasks, which read them."
  type        = number
}

variable "cpu" {
  description = "CPU units; 1024 are one."
  type        = number
}

variable "memory" {
  description = "Memory in MiB."
  type        = number
}

variable "tasks" {
  description = "The fewest and the most tasks."
  type        = object({ min = number, max = number })
}

variable "requests_per_target" {
  description = "Scaling's target: requests a minute for each task."
  type        = number
}

variable "request_count_label" {
  description = "The load balancer's and the target group's ARN suffixes, joined by a slash."
  type        = string
}

variable "subnet_ids" {
  description = "Private subnets in at least two zones."
  type        = list(string)
}

variable "security_group_id" {
  description = "The service's security group."
  type        = string
}

variable "target_group_arn" {
  description = "The load balancer's target group."
  type        = string
}

variable "port" {
  description = "The port that the service listens on."
  type        = number
}

variable "log_group" {
  description = "The CloudWatch log group."
  type        = object({ name = string, arn = string })
}

variable "log_options" {
  description = "Options of the log driver beside where the log goes."
  type        = map(string)
}

variable "rollback_alarm" {
  description = "The alarm that rolls a deployment back."
  type        = string
}

variable "hosts" {
  description = "The names that the service is served under, separated by commas; * is any."
  type        = string
}

variable "database_url" {
  description = "The database URL as the service's own role, without a password."
  type        = string
}

variable "secrets" {
  description = "The service's own secrets: environment variable to ECS reference."
  type        = map(string)
}

variable "schema" {
  description = "What is made anew by each schema step, and so comes after it."
  type        = string
}

variable "key_arn" {
  description = "The KMS key of the secrets."
  type        = string
}

variable "boundary_arn" {
  description = "The permissions boundary of the roles."
  type        = string
}
