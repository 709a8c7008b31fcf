# What each variable refuses. `make test T=tests/infra/test_static.py` runs it without the provider.
variables {
  allowed_bastion_ips = []
  release = {
    version       = "1111111111111111111111111111111111111111"
    display_image = "123456789012.dkr.ecr.us-east-1.amazonaws.com/tally/display@sha256:dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd"
    reset_image   = "123456789012.dkr.ecr.us-east-1.amazonaws.com/tally/reset@sha256:eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee"
    adder_key     = "adder/1111111111111111111111111111111111111111.pex"
    adder_sha256  = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
    adder_image   = "ami-11111111111111111"
  }
}

run "refuses_the_whole_internet" {
  command = plan

  variables {
    allowed_bastion_ips = ["0.0.0.0/0"]
  }

  expect_failures = [var.allowed_bastion_ips]
}

run "refuses_the_whole_internet_in_two_halves" {
  command = plan

  variables {
    allowed_bastion_ips = ["0.0.0.0/1", "128.0.0.0/1"]
  }

  expect_failures = [var.allowed_bastion_ips]
}

run "refuses_the_whole_internet_of_ipv6" {
  command = plan

  variables {
    allowed_bastion_ips = ["::/0"]
  }

  expect_failures = [var.allowed_bastion_ips]
}

run "refuses_a_range_of_ipv6" {
  command = plan

  variables {
    allowed_bastion_ips = ["2001:db8::/32"]
  }

  expect_failures = [var.allowed_bastion_ips]
}

run "refuses_an_address_without_a_range" {
  command = plan

  variables {
    allowed_bastion_ips = ["203.0.113.7"]
  }

  expect_failures = [var.allowed_bastion_ips]
}

run "refuses_eleven_ranges" {
  command = plan

  variables {
    allowed_bastion_ips = ["203.0.113.0/32", "203.0.113.1/32", "203.0.113.2/32", "203.0.113.3/32", "203.0.113.4/32", "203.0.113.5/32", "203.0.113.6/32", "203.0.113.7/32", "203.0.113.8/32", "203.0.113.9/32", "203.0.113.10/32"]
  }

  expect_failures = [var.allowed_bastion_ips]
}

run "refuses_a_branch_for_a_release" {
  command = plan

  variables {
    release = {
      version       = "main"
      display_image = "registry/tally/display@sha256:dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd"
      reset_image   = "registry/tally/reset@sha256:eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee"
      adder_key     = "adder/1.pex"
      adder_sha256  = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
      adder_image   = "ami-11111111111111111"
    }
  }

  expect_failures = [var.release]
}

run "refuses_an_image_by_tag" {
  command = plan

  variables {
    release = {
      version       = "1111111111111111111111111111111111111111"
      display_image = "registry/tally/display:latest"
      reset_image   = "registry/tally/reset@sha256:eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee"
      adder_key     = "adder/1.pex"
      adder_sha256  = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
      adder_image   = "ami-11111111111111111"
    }
  }

  expect_failures = [var.release]
}

run "refuses_a_second_image_by_tag" {
  command = plan

  variables {
    release = {
      version       = "1111111111111111111111111111111111111111"
      display_image = "registry/tally/display@sha256:dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd"
      reset_image   = "registry/tally/reset:latest"
      adder_key     = "adder/1.pex"
      adder_sha256  = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
      adder_image   = "ami-11111111111111111"
    }
  }

  expect_failures = [var.release]
}

run "refuses_a_key_with_spaces" {
  command = plan

  variables {
    release = {
      version       = "1111111111111111111111111111111111111111"
      display_image = "registry/tally/display@sha256:dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd"
      reset_image   = "registry/tally/reset@sha256:eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee"
      adder_key     = "adder/the newest.pex"
      adder_sha256  = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
      adder_image   = "ami-11111111111111111"
    }
  }

  expect_failures = [var.release]
}

run "refuses_a_key_that_is_not_the_adders" {
  command = plan

  variables {
    release = {
      version       = "1111111111111111111111111111111111111111"
      display_image = "registry/tally/display@sha256:dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd"
      reset_image   = "registry/tally/reset@sha256:eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee"
      adder_key     = "1111.pex"
      adder_sha256  = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
      adder_image   = "ami-11111111111111111"
    }
  }

  expect_failures = [var.release]
}

run "refuses_a_short_checksum" {
  command = plan

  variables {
    release = {
      version       = "1111111111111111111111111111111111111111"
      display_image = "registry/tally/display@sha256:dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd"
      reset_image   = "registry/tally/reset@sha256:eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee"
      adder_key     = "adder/1.pex"
      adder_sha256  = "abc"
      adder_image   = "ami-11111111111111111"
    }
  }

  expect_failures = [var.release]
}

run "refuses_a_machine_image_by_name" {
  command = plan

  variables {
    release = {
      version       = "1111111111111111111111111111111111111111"
      display_image = "registry/tally/display@sha256:dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd"
      reset_image   = "registry/tally/reset@sha256:eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee"
      adder_key     = "adder/1.pex"
      adder_sha256  = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
      adder_image   = "al2023-ami-kernel-default-x86_64"
    }
  }

  expect_failures = [var.release]
}

run "refuses_capitals_in_the_name" {
  command = plan

  variables {
    name = "Tally"
  }

  expect_failures = [var.name]
}

run "refuses_a_long_name" {
  command = plan

  variables {
    name = "a-name-of-more-than-sixteen"
  }

  expect_failures = [var.name]
}

run "refuses_an_unknown_profile" {
  command = plan

  variables {
    profile = "large"
  }

  expect_failures = [var.profile]
}

run "refuses_a_domain_with_a_scheme" {
  command = plan

  variables {
    domain_name    = "https://tally.example.com"
    domain_zone_id = "Z0123456789ABCDEFGHIJ"
  }

  expect_failures = [var.domain_name]
}

run "refuses_a_domain_without_its_zone" {
  command = plan

  variables {
    domain_name = "tally.example.com"
  }

  expect_failures = [var.domain_name]
}

run "refuses_a_zone_by_name" {
  command = plan

  variables {
    domain_name    = "tally.example.com"
    domain_zone_id = "example.com"
  }

  expect_failures = [var.domain_zone_id]
}

run "refuses_a_key_that_is_not_there" {
  command = plan

  variables {
    allowed_bastion_ips = ["203.0.113.7/32"]
    ssh_public_key_path = "./no-such-key.pub"
  }

  expect_failures = [var.ssh_public_key_path]
}

run "refuses_an_email_without_a_host" {
  command = plan

  variables {
    alarm_email = "operator"
  }

  expect_failures = [var.alarm_email]
}

run "refuses_a_budget_of_nothing" {
  command = plan

  variables {
    monthly_budget_usd = 0
  }

  expect_failures = [var.monthly_budget_usd]
}

run "refuses_a_password_version_below_one" {
  command = plan

  variables {
    password_version = 0
  }

  expect_failures = [var.password_version]
}

run "refuses_half_a_password_version" {
  command = plan

  variables {
    password_version = 1.5
  }

  expect_failures = [var.password_version]
}
