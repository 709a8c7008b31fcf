# What each variable refuses.
mock_provider "aws" {}

run "refuses_capitals_in_the_name" {
  command = plan

  variables {
    name = "Tally"
  }

  expect_failures = [var.name]
}

run "refuses_a_repository_without_an_owner" {
  command = plan

  variables {
    github_repository = "tally"
  }

  expect_failures = [var.github_repository]
}

run "refuses_any_environment" {
  command = plan

  variables {
    github_environment = "*"
  }

  expect_failures = [var.github_environment]
}
