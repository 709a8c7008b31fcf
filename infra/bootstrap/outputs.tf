output "state_bucket" {
  description = "The bucket of the state, for `terraform init -backend-config=bucket=...`."
  value       = module.state.id
}

output "release_bucket" {
  description = "The bucket of the adder's releases."
  value       = module.releases.id
}

output "repositories" {
  description = "The image repositories."
  value       = { for service, repository in aws_ecr_repository.service : service => repository.repository_url }
}

output "ci_roles" {
  description = "The roles for GitHub's workflows."
  value       = { for purpose, role in aws_iam_role.ci : purpose => role.arn }
}
