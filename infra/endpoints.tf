# How the private subnets reach the AWS services they need: through endpoints, with no way to the internet, or
# through the bastion. Costs and reasons: docs/decisions/0010-way-out.md.
locals {
  endpoint_services = {
    "ecr.api"        = "pulling images: the registry"
    "ecr.dkr"        = "pulling images: the manifests"
    "logs"           = "logs"
    "secretsmanager" = "the services' passwords"
    "ssm"            = "sessions on the adder's machines"
    "ssmmessages"    = "sessions on the adder's machines"
  }
}

resource "aws_vpc_endpoint" "interface" {
  for_each = { for service, purpose in local.endpoint_services : service => purpose if local.out_by_endpoints }

  vpc_id              = aws_vpc.main.id
  service_name        = "com.amazonaws.${local.region}.${each.key}"
  vpc_endpoint_type   = "Interface"
  private_dns_enabled = true
  subnet_ids          = [for subnet in aws_subnet.private : subnet.id]
  security_group_ids  = [aws_security_group.role["endpoints"].id]
  policy              = (startswith(each.key, "ecr.") ? data.aws_iam_policy_document.registry : data.aws_iam_policy_document.endpoint).json
  tags                = { Name = "${var.name}-${replace(each.key, ".", "-")}", Purpose = each.value }
}

# Only for this account's own roles: keys of another account can't carry data out.
data "aws_iam_policy_document" "endpoint" {
  statement {
    sid       = "OwnAccount"
    actions   = ["*"]
    resources = ["*"]

    principals {
      type        = "AWS"
      identifiers = ["*"]
    }

    condition {
      test     = "StringEquals"
      variable = "aws:PrincipalAccount"
      values   = [local.account_id]
    }
  }
}

# The registry's two entrances, as AWS's own examples have it (ECR's user guide, "Create a VPC endpoint
# policy"): named actions, on these repositories, and no condition on who asks.
data "aws_iam_policy_document" "registry" {
  statement {
    sid       = "LogIn"
    actions   = ["ecr:GetAuthorizationToken"]
    resources = ["*"] # cannot be narrowed

    principals {
      type        = "AWS"
      identifiers = ["*"]
    }
  }

  statement {
    sid = "PullImages"
    actions = [
      "ecr:BatchCheckLayerAvailability",
      "ecr:BatchGetImage",
      "ecr:GetDownloadUrlForLayer",
    ]
    resources = ["arn:aws:ecr:${local.region}:${local.account_id}:repository/${var.name}/*"]

    principals {
      type        = "AWS"
      identifiers = ["*"]
    }
  }
}

resource "aws_vpc_endpoint" "s3" {
  vpc_id            = aws_vpc.main.id
  service_name      = "com.amazonaws.${local.region}.s3"
  vpc_endpoint_type = "Gateway"
  route_table_ids   = [aws_route_table.private.id]
  policy            = data.aws_iam_policy_document.s3_endpoint.json
  tags              = { Name = "${var.name}-s3" }
}

data "aws_iam_policy_document" "s3_endpoint" {
  statement {
    sid     = "ReadWhatRuns"
    actions = ["s3:GetObject", "s3:GetObjectVersion"]
    resources = [
      "arn:aws:s3:::${local.release_bucket}/*",
      # Layers of the container registry, and packages of Amazon Linux 2023.
      "arn:aws:s3:::prod-${local.region}-starport-layer-bucket/*",
      "arn:aws:s3:::al2023-repos-${local.region}-*/*",
    ]

    principals {
      type        = "AWS"
      identifiers = ["*"]
    }
  }
}

# The bastion forwards what comes from the private subnets to port 443 and nothing else: deploy/bastion/way-out.
resource "aws_route" "bastion" {
  count = local.out_by_bastion ? 1 : 0

  route_table_id         = aws_route_table.private.id
  destination_cidr_block = "0.0.0.0/0"
  network_interface_id   = aws_instance.bastion.primary_network_interface_id
}
