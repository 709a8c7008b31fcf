# The application load balancer and its paths. It is internal: CloudFront reaches it inside the network
# (https.tf).
locals {
  # Each service's paths. The display also serves the home page and the contract.
  routes = {
    home    = { priority = 10, paths = ["/", "/openapi.json"], service = "display" }
    adder   = { priority = 20, paths = ["/adder_service*"], service = "adder" }
    display = { priority = 30, paths = ["/display_service*"], service = "display" }
    reset   = { priority = 40, paths = ["/reset_service*"], service = "reset" }
  }

  # The auto scaling group registers machines; ECS registers containers by address.
  target_types = { adder = "instance", display = "ip", reset = "ip" }
}

resource "aws_lb" "main" {
  name               = "${var.name}-load-balancer"
  load_balancer_type = "application"
  internal           = true
  subnets            = [for subnet in aws_subnet.private : subnet.id]
  security_groups    = [aws_security_group.role["load-balancer"].id, aws_security_group.role["load-balancer-https"].id]

  drop_invalid_header_fields = true
  desync_mitigation_mode     = "strictest"
  enable_deletion_protection = var.protect
  # Seconds without a byte; event streams send something every 5.
  idle_timeout = 60

  access_logs {
    bucket  = module.access_logs.id
    enabled = true
  }

  tags = { Name = "${var.name}-load-balancer" }
}

resource "aws_lb_target_group" "service" {
  for_each = local.target_types

  name        = "${var.name}-${each.key}"
  target_type = each.value
  port        = local.service_port
  protocol    = "HTTP"
  vpc_id      = aws_vpc.main.id
  # Seconds for open requests; the services end their event streams when they stop.
  deregistration_delay = 30

  # Liveness, not readiness: without the database every service answers 503 itself, and replacing all
  # of them would make a short outage long.
  health_check {
    path                = "/${each.key}_service/healthz"
    matcher             = "200"
    interval            = 10
    timeout             = 5
    healthy_threshold   = 2
    unhealthy_threshold = 3
  }

  tags = { Name = "${var.name}-${each.key}" }
}

resource "aws_lb_listener" "services" {
  for_each = local.origin

  load_balancer_arn = aws_lb.main.arn
  port              = each.value.port
  protocol          = upper(each.key)
  ssl_policy        = each.key == "https" ? "ELBSecurityPolicy-TLS13-1-2-Res-2021-06" : null
  certificate_arn   = each.key == "https" ? one(aws_acm_certificate_validation.domain[*].certificate_arn) : null
  tags              = { Name = "${var.name}-services-${each.key}" }

  default_action {
    type = "fixed-response"

    fixed_response {
      content_type = "text/plain"
      message_body = "There is nothing here. The services are at /adder_service, /display_service and /reset_service."
      status_code  = "404"
    }
  }

  lifecycle {
    create_before_destroy = true
  }
}

resource "aws_lb_listener_rule" "route" {
  for_each = local.routes

  listener_arn = aws_lb_listener.services[local.origin_protocol].arn
  priority     = each.value.priority
  tags         = { Name = "${var.name}-${each.key}" }

  condition {
    path_pattern {
      values = each.value.paths
    }
  }

  action {
    type             = "forward"
    target_group_arn = aws_lb_target_group.service[each.value.service].arn
  }

  lifecycle {
    create_before_destroy = true
  }
}

# CloudFront's own name has its oldest TLS setting, which can't be changed. A header gives the visitor's
# version; this rule refuses old ones.
resource "aws_lb_listener_rule" "old_tls" {
  listener_arn = aws_lb_listener.services[local.origin_protocol].arn
  priority     = 1
  tags         = { Name = "${var.name}-old-tls" }

  condition {
    http_header {
      http_header_name = "CloudFront-Viewer-TLS"
      values           = ["SSLv3:*", "TLSv1:*", "TLSv1.1:*"]
    }
  }

  action {
    type = "fixed-response"

    fixed_response {
      content_type = "text/plain"
      message_body = "TLS 1.2 or newer is needed."
      status_code  = "403"
    }
  }

  lifecycle {
    create_before_destroy = true
  }
}
