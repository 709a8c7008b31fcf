# The flows that security groups allow. Each makes an egress rule of one group and an ingress rule of
# the other; nothing else is open.
locals {
  # AWS takes no apostrophe in a description.
  roles = merge({
    load-balancer = "The load balancer, the only way in from the internet"
    # A group has room for one list of CloudFront addresses, and a change of the way in takes two.
    load-balancer-https = "The load balancer, where CloudFront speaks https to it"
    adder               = "Machines of the adder"
    display             = "Containers of the display"
    reset               = "Containers of the reset service"
    database            = "PostgreSQL"
    bastion             = "The way in for operators"
    },
    local.out_by_endpoints ? { endpoints = "Private entrances to AWS services" } : {},
  )

  flows = merge({
    load-balancer-adder   = { from = "load-balancer", to = "adder", port = local.service_port }
    load-balancer-display = { from = "load-balancer", to = "display", port = local.service_port }
    load-balancer-reset   = { from = "load-balancer", to = "reset", port = local.service_port }
    adder-database        = { from = "adder", to = "database", port = local.database_port }
    display-database      = { from = "display", to = "database", port = local.database_port }
    reset-database        = { from = "reset", to = "database", port = local.database_port }
    bastion-database      = { from = "bastion", to = "database", port = local.database_port }
    },
    { for user in local.users_of_endpoints : "${user}-endpoints" => { from = user, to = "endpoints", port = 443 } },
  )
  users_of_endpoints = local.out_by_endpoints ? ["adder", "display", "reset", "bastion"] : []
}

resource "aws_security_group" "role" {
  for_each = local.roles

  name        = "${var.name}-${each.key}"
  description = each.value
  vpc_id      = aws_vpc.main.id
  tags        = { Name = "${var.name}-${each.key}", Role = each.key }
}

resource "aws_vpc_security_group_egress_rule" "flow" {
  for_each = local.flows

  security_group_id            = aws_security_group.role[each.value.from].id
  referenced_security_group_id = aws_security_group.role[each.value.to].id
  ip_protocol                  = "tcp"
  from_port                    = each.value.port
  to_port                      = each.value.port
  description                  = "To ${each.value.to}"
  tags                         = { Name = "${var.name}-${each.key}-out" }
}

resource "aws_vpc_security_group_ingress_rule" "flow" {
  for_each = local.flows

  security_group_id            = aws_security_group.role[each.value.to].id
  referenced_security_group_id = aws_security_group.role[each.value.from].id
  ip_protocol                  = "tcp"
  from_port                    = each.value.port
  to_port                      = each.value.port
  description                  = "From ${each.value.from}"
  tags                         = { Name = "${var.name}-${each.key}-in" }
}

# S3 holds images' layers, the release and the machines' packages, and has no security group to name.
resource "aws_vpc_security_group_egress_rule" "s3" {
  for_each = toset(["adder", "display", "reset"])

  security_group_id = aws_security_group.role[each.key].id
  prefix_list_id    = aws_vpc_endpoint.s3.prefix_list_id
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443
  description       = "To S3 through its endpoint"
  tags              = { Name = "${var.name}-${each.key}-s3-out" }
}

# The way out by the bastion, in two rules each: what a service sends is addressed to the internet, and arrives
# at the bastion.
resource "aws_vpc_security_group_egress_rule" "way_out" {
  for_each = local.out_by_bastion ? local.services : []

  security_group_id = aws_security_group.role[each.key].id
  cidr_ipv4         = "0.0.0.0/0"
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443
  description       = "To services of AWS, by the bastion"
  tags              = { Name = "${var.name}-${each.key}-https-out" }
}

resource "aws_vpc_security_group_ingress_rule" "way_out" {
  for_each = local.out_by_bastion ? local.services : []

  security_group_id            = aws_security_group.role["bastion"].id
  referenced_security_group_id = aws_security_group.role[each.key].id
  ip_protocol                  = "tcp"
  from_port                    = 443
  to_port                      = 443
  description                  = "From ${each.key}, to be forwarded"
  tags                         = { Name = "${var.name}-${each.key}-forwarded-in" }
}

data "aws_ec2_managed_prefix_list" "cloudfront" {
  name = "com.amazonaws.global.cloudfront.origin-facing"
}

resource "aws_vpc_security_group_ingress_rule" "cloudfront" {
  for_each = local.origin

  security_group_id = aws_security_group.role[each.value.group].id
  prefix_list_id    = data.aws_ec2_managed_prefix_list.cloudfront.id
  ip_protocol       = "tcp"
  from_port         = each.value.port
  to_port           = each.value.port
  description       = "CloudFront, through its origin inside this network"
  tags              = { Name = "${var.name}-cloudfront-${each.key}-in" }

  lifecycle {
    create_before_destroy = true
  }
}

resource "aws_vpc_security_group_ingress_rule" "ssh" {
  for_each = toset(var.allowed_bastion_ips)

  security_group_id = aws_security_group.role["bastion"].id
  cidr_ipv4         = each.key
  ip_protocol       = "tcp"
  from_port         = 22
  to_port           = 22
  description       = "SSH from an allowed address"
  tags              = { Name = "${var.name}-ssh-in" }
}

resource "aws_vpc_security_group_egress_rule" "bastion_https" {
  security_group_id = aws_security_group.role["bastion"].id
  cidr_ipv4         = "0.0.0.0/0"
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443
  description       = "Packages and Session Manager"
  tags              = { Name = "${var.name}-bastion-https-out" }
}
