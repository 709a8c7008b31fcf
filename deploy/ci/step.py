"""What the steps share: the deployment they are for, and what they pass to GitHub."""

import functools
import os
from collections.abc import Callable
from pathlib import Path

import click

from deploy.ci.deployment import Deployment


def of_deployment(step: Callable[..., None]) -> Callable[..., None]:
    """Pass a step the deployment of its environment as its first argument."""

    @click.option("--deployments", envvar="DEPLOYMENTS", required=True)
    @click.option("--environment", envvar="ENVIRONMENT", required=True)
    @functools.wraps(step)
    def chosen(deployments: str, environment: str, **options: object) -> None:
        step(Deployment.from_json(deployments, environment), **options)

    return chosen


def output(**values: str) -> None:
    """Pass values to the workflow's later steps and jobs."""
    if file := os.environ.get("GITHUB_OUTPUT"):
        with Path(file).open("a") as outputs:
            outputs.writelines(f"{name}={value}\n" for name, value in values.items())


def page(text: str) -> None:
    """Show Markdown on the run's page."""
    if file := os.environ.get("GITHUB_STEP_SUMMARY"):
        with Path(file).open("a") as page:
            page.write(text)
