# The way in: CloudFront in front of the load balancer, with a domain's certificate or its own name. See
# docs/decisions/0011-https.md.

resource "aws_acm_certificate" "domain" {
  count = local.has_domain ? 1 : 0

  domain_name       = var.domain_name
  validation_method = "DNS"
  tags              = { Name = "${var.name}-certificate" }

  lifecycle {
    create_before_destroy = true
  }
}

resource "aws_route53_record" "validation" {
  count = local.has_domain ? 1 : 0

  zone_id         = var.domain_zone_id
  name            = one(aws_acm_certificate.domain[0].domain_validation_options).resource_record_name
  type            = one(aws_acm_certificate.domain[0].domain_validation_options).resource_record_type
  records         = [one(aws_acm_certificate.domain[0].domain_validation_options).resource_record_value]
  ttl             = 300
  allow_overwrite = true
}

resource "aws_acm_certificate_validation" "domain" {
  count = local.has_domain ? 1 : 0

  certificate_arn         = aws_acm_certificate.domain[0].arn
  validation_record_fqdns = [aws_route53_record.validation[0].fqdn]
}

resource "aws_route53_record" "domain" {
  for_each = toset(local.has_domain ? ["A", "AAAA"] : [])

  zone_id = var.domain_zone_id
  name    = var.domain_name
  type    = each.key

  alias {
    name                   = aws_cloudfront_distribution.main.domain_name
    zone_id                = aws_cloudfront_distribution.main.hosted_zone_id
    evaluate_target_health = false
  }
}

locals {
  # How CloudFront speaks to the load balancer, which has a certificate only for a domain. Whatever is
  # of one way is made beside that of the other and removed last, so a domain can come and go while
  # people use Tally.
  origins = {
    http  = { port = 80, protocol_policy = "http-only", group = "load-balancer" }
    https = { port = 443, protocol_policy = "https-only", group = "load-balancer-https" }
  }
  origin_protocol = local.has_domain ? "https" : "http"
  origin          = { for protocol, origin in local.origins : protocol => origin if protocol == local.origin_protocol }

  public_host = local.has_domain ? var.domain_name : aws_cloudfront_distribution.main.domain_name
  # The services answer for the domain alone; without one, only CloudFront reaches them.
  hosts = local.has_domain ? var.domain_name : "*"

  # Policies that AWS keeps; their ids are the same in every account.
  cloudfront_caching_disabled       = "4135ea2d-6df8-44a3-9df3-4b5a84be39ad"
  cloudfront_all_viewer_and_headers = "33f36d7e-f396-46d9-90e0-52428a34d9dc"
}

# One of its own for each way: AWS refuses to change an origin that a distribution uses.
resource "aws_cloudfront_vpc_origin" "load_balancer" {
  for_each = local.origin

  tags = { Name = "${var.name}-origin-${each.key}" }

  vpc_origin_endpoint_config {
    name                   = "${var.name}-${each.value.group}"
    arn                    = aws_lb.main.arn
    http_port              = local.origins.http.port
    https_port             = local.origins.https.port
    origin_protocol_policy = each.value.protocol_policy

    origin_ssl_protocols {
      items    = ["TLSv1.2"]
      quantity = 1
    }
  }

  # The provider's default, fifteen minutes, is sometimes too short.
  timeouts {
    create = "40m"
    update = "40m"
    delete = "40m"
  }

  lifecycle {
    create_before_destroy = true
  }

  # CloudFront checks that something listens, and that the network has a gateway, which it does not
  # use.
  depends_on = [
    aws_internet_gateway.main,
    aws_lb_listener_rule.route,
    aws_vpc_security_group_ingress_rule.cloudfront,
  ]
}

resource "aws_cloudfront_distribution" "main" {
  comment         = "${var.name}: the way in"
  enabled         = true
  is_ipv6_enabled = true
  http_version    = "http2and3"
  aliases         = local.has_domain ? [var.domain_name] : []
  # The cheapest: served from North America and Europe, reachable from everywhere.
  price_class = "PriceClass_100"
  web_acl_id  = aws_wafv2_web_acl.main.arn
  tags        = { Name = "${var.name}-https" }

  origin {
    origin_id   = "load-balancer"
    domain_name = aws_lb.main.dns_name

    vpc_origin_config {
      vpc_origin_id            = aws_cloudfront_vpc_origin.load_balancer[local.origin_protocol].id
      origin_keepalive_timeout = 55 # seconds; just below the load balancer's 60
      origin_read_timeout      = 60 # seconds; event streams send something every 5
    }
  }

  default_cache_behavior {
    target_origin_id         = "load-balancer"
    viewer_protocol_policy   = "redirect-to-https"
    allowed_methods          = ["GET", "HEAD", "OPTIONS", "PUT", "POST", "PATCH", "DELETE"]
    cached_methods           = ["GET", "HEAD"]
    cache_policy_id          = local.cloudfront_caching_disabled
    origin_request_policy_id = local.cloudfront_all_viewer_and_headers
    # Compressing would delay events.
    compress = false
  }

  # CloudFront otherwise caches errors for ten seconds, even where caching is off.
  dynamic "custom_error_response" {
    for_each = toset([400, 403, 404, 405, 414, 416, 500, 501, 502, 503, 504])
    content {
      error_code            = custom_error_response.value
      error_caching_min_ttl = 0
    }
  }

  restrictions {
    geo_restriction {
      restriction_type = "none"
    }
  }

  # CloudFront's own name has its oldest TLS setting, which can't be changed (load-balancer.tf).
  viewer_certificate {
    cloudfront_default_certificate = !local.has_domain
    acm_certificate_arn            = one(aws_acm_certificate_validation.domain[*].certificate_arn)
    minimum_protocol_version       = local.has_domain ? "TLSv1.2_2021" : "TLSv1"
    ssl_support_method             = local.has_domain ? "sni-only" : null
  }
}
