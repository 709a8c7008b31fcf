output "address" {
  description = "The address of Tally."
  value       = "https://${local.public_host}"
}

output "reset_token" {
  description = "The command that shows the token that resetting needs."
  value       = one([for it in aws_secretsmanager_secret.reset_token : "aws secretsmanager get-secret-value --region ${local.region} --secret-id ${it.name} --query SecretString --output text"])
}

output "release" {
  description = "The git commit that runs."
  value       = var.release.version
}

output "bastion" {
  description = "The bastion's public address, for ssh ec2-user@..."
  value       = aws_instance.bastion.public_ip
}

output "bastion_id" {
  description = "The bastion's id, for aws ssm start-session --target ..."
  value       = aws_instance.bastion.id
}

output "dashboard" {
  description = "The dashboard; needs a sign-in to AWS."
  value       = "https://${local.region}.console.aws.amazon.com/cloudwatch/home?region=${local.region}#dashboards/dashboard/${aws_cloudwatch_dashboard.main.dashboard_name}"
}

output "denied_traffic_bucket" {
  description = "The bucket of the flow logs of refused connections."
  value       = module.denied_traffic.id
}
