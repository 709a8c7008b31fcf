# What each variable refuses.


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
    github_repository    = "tally"
    github_repository_id = "1"
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

run "refuses_a_repository_without_its_number" {
  command = plan

  variables {
    github_repository = "example/tally"
  }

  expect_failures = [var.github_repository_id]
}

run "refuses_a_number_that_is_none" {
  command = plan

  variables {
    github_repository    = "example/tally"
    github_repository_id = "tally"
  }

  expect_failures = [var.github_repository_id]
}

run "refuses_the_identity_provider_of_somebody_else" {
  command = plan

  variables {
    github_provider_arn = "arn:aws:iam::123456789012:oidc-provider/gitlab.example.com"
  }

  expect_failures = [var.github_provider_arn]
}
