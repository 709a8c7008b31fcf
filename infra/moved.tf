# For deployments of before a domain could come and go: without these, what takes the place of a listener, a
# rule, an origin or a name would be made while that is still taken.
moved {
  from = aws_lb_listener.services
  to   = aws_lb_listener.services["http"]
}

moved {
  from = aws_vpc_security_group_ingress_rule.cloudfront[0]
  to   = aws_vpc_security_group_ingress_rule.cloudfront["http"]
}

moved {
  from = aws_route53_record.domain[0]
  to   = aws_route53_record.domain["A"]
}

moved {
  from = aws_cloudfront_vpc_origin.load_balancer[0]
  to   = aws_cloudfront_vpc_origin.load_balancer["http"]
}
