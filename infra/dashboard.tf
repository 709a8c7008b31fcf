# One page: health, load, saturation.
locals {
  # Left to right, top to bottom; each takes half of a dashboard's 24 columns. Without detailed metrics the healthy
  # targets stand for the tasks.
  widgets = [for widget in local.all_widgets : widget if length(widget.metrics) > 0]
  all_widgets = [
    {
      title   = "Requests a minute"
      stat    = "Sum"
      metrics = [for service in sort(local.services) : ["AWS/ApplicationELB", "RequestCount", "LoadBalancer", aws_lb.main.arn_suffix, "TargetGroup", aws_lb_target_group.service[service].arn_suffix, { label = service }]]
    },
    {
      title   = "Errors a minute (5xx)"
      stat    = "Sum"
      metrics = [for service in sort(local.services) : ["AWS/ApplicationELB", "HTTPCode_Target_5XX_Count", "LoadBalancer", aws_lb.main.arn_suffix, "TargetGroup", aws_lb_target_group.service[service].arn_suffix, { label = service }]]
    },
    {
      title   = "Seconds that 99 in 100 requests stay below"
      stat    = "p99"
      metrics = [for service in sort(local.services) : ["AWS/ApplicationELB", "TargetResponseTime", "LoadBalancer", aws_lb.main.arn_suffix, "TargetGroup", aws_lb_target_group.service[service].arn_suffix, { label = service }]]
    },
    {
      title   = "Healthy targets"
      stat    = "Minimum"
      metrics = [for service in sort(local.services) : ["AWS/ApplicationELB", "HealthyHostCount", "LoadBalancer", aws_lb.main.arn_suffix, "TargetGroup", aws_lb_target_group.service[service].arn_suffix, { label = service }]]
    },
    {
      title   = "Tasks"
      stat    = "Maximum"
      metrics = [for service in sort(keys(local.containers)) : ["ECS/ContainerInsights", "RunningTaskCount", "ClusterName", aws_ecs_cluster.main.name, "ServiceName", "${var.name}-${service}", { label = service }] if local.sizes.detailed_metrics]
    },
    {
      title   = "Database: connections"
      stat    = "Maximum"
      metrics = [["AWS/RDS", "DatabaseConnections", "DBInstanceIdentifier", aws_db_instance.main.identifier, { label = "connections" }]]
    },
    {
      title   = "Database: percent of its processors"
      stat    = "Average"
      metrics = [["AWS/RDS", "CPUUtilization", "DBInstanceIdentifier", aws_db_instance.main.identifier, { label = "percent" }]]
    },
    {
      title   = "Database: free bytes"
      stat    = "Minimum"
      metrics = [["AWS/RDS", "FreeStorageSpace", "DBInstanceIdentifier", aws_db_instance.main.identifier, { label = "bytes" }]]
    },
  ]
}

resource "aws_cloudwatch_dashboard" "main" {
  dashboard_name = "${var.name}-overview"

  dashboard_body = jsonencode({
    widgets = concat(
      [{
        type   = "alarm"
        x      = 0
        y      = 0
        width  = 24
        height = 3
        properties = {
          title = "Alarms"
          alarms = concat(
            [for alarm in aws_cloudwatch_metric_alarm.errors : alarm.arn],
            [for alarm in aws_cloudwatch_metric_alarm.unhealthy : alarm.arn],
            [for alarm in aws_cloudwatch_metric_alarm.latency : alarm.arn],
            [for alarm in aws_cloudwatch_metric_alarm.scaling_bound : alarm.arn],
            aws_cloudwatch_metric_alarm.bastion[*].arn,
            [
              aws_cloudwatch_metric_alarm.load_balancer_errors.arn,
              aws_cloudwatch_metric_alarm.database_storage.arn,
              aws_cloudwatch_metric_alarm.database_connections.arn,
              aws_cloudwatch_metric_alarm.restore_overdue.arn,
            ],
          )
        }
      }],
      [for index, widget in local.widgets : {
        type   = "metric"
        x      = index % 2 * 12
        y      = 3 + floor(index / 2) * 6
        width  = 12
        height = 6
        properties = {
          title   = widget.title
          region  = local.region
          stat    = widget.stat
          period  = 60
          view    = "timeSeries"
          metrics = widget.metrics
        }
      }],
    )
  })
}
