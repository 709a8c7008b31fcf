# The web application firewall, on CloudFront: the load balancer does not see visitors' addresses.
locals {
  # Requests from one address in five minutes: 20 a second, sustained. A page takes about five, an
  # open display one an hour, and a client may send many values in one request.
  requests_per_address = 6000

  managed_rules = {
    AWSManagedRulesAmazonIpReputationList = { priority = 10, only_count = [] }
    AWSManagedRulesKnownBadInputsRuleSet  = { priority = 20, only_count = [] }
    # Values may come in bulk; the services limit bodies more exactly.
    AWSManagedRulesCommonRuleSet = { priority = 30, only_count = ["SizeRestrictions_BODY"] }
  }
}

resource "aws_wafv2_web_acl" "main" {
  name        = "${var.name}-firewall"
  description = "What may come in from the internet to ${var.name}"
  scope       = "CLOUDFRONT"
  tags        = { Name = "${var.name}-firewall" }

  default_action {
    allow {}
  }

  rule {
    name     = "rate-per-address"
    priority = 1

    action {
      block {
        custom_response {
          response_code = 429
        }
      }
    }

    statement {
      rate_based_statement {
        aggregate_key_type    = "IP"
        evaluation_window_sec = 300
        limit                 = local.requests_per_address
      }
    }

    visibility_config {
      metric_name                = "${var.name}-rate-per-address"
      cloudwatch_metrics_enabled = true
      sampled_requests_enabled   = true
    }
  }

  dynamic "rule" {
    for_each = local.managed_rules
    content {
      name     = rule.key
      priority = rule.value.priority

      override_action {
        none {}
      }

      statement {
        managed_rule_group_statement {
          vendor_name = "AWS"
          name        = rule.key

          dynamic "rule_action_override" {
            for_each = rule.value.only_count
            content {
              name = rule_action_override.value
              action_to_use {
                count {}
              }
            }
          }
        }
      }

      visibility_config {
        metric_name                = "${var.name}-${rule.key}"
        cloudwatch_metrics_enabled = true
        sampled_requests_enabled   = true
      }
    }
  }

  visibility_config {
    metric_name                = "${var.name}-firewall"
    cloudwatch_metrics_enabled = true
    sampled_requests_enabled   = true
  }
}

# Blocked requests only; the load balancer logs the rest.
resource "aws_wafv2_web_acl_logging_configuration" "main" {
  resource_arn            = aws_wafv2_web_acl.main.arn
  log_destination_configs = [aws_cloudwatch_log_group.firewall.arn]

  logging_filter {
    default_behavior = "DROP"

    filter {
      behavior    = "KEEP"
      requirement = "MEETS_ANY"

      condition {
        action_condition {
          action = "BLOCK"
        }
      }

      condition {
        action_condition {
          action = "COUNT"
        }
      }
    }
  }

  redacted_fields {
    single_header {
      name = "authorization"
    }
  }
}
