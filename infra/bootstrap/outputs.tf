output "state_bucket" {
  description = "For `terraform init -backend-config=bucket=...` of the deployment."
  value       = module.state.id
}

output "release_bucket" {
  description = "Where the adder's releases are uploaded to."
  value       = module.releases.id
}

output "repositories" {
  description = "Where images are pushed to."
  value       = { for service, repository in aws_ecr_repository.service : service => repository.repository_url }
}

output "ci_roles" {
  description = "The roles for GitHub's workflows."
  value       = { for purpose, role in aws_iam_role.ci : purpose => role.arn }
}
