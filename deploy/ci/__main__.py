"""The steps that the workflows call, one command each; and what they need first."""

import sys

import click

from deploy.ci import planning, practising, preparing, publishing
from deploy.ci.deployment import Deployment
from deploy.ci.refused import Refused
from deploy.ci.step import of_deployment, output, page


@click.group()
def main() -> None:
    """Do one step of a workflow, or prepare an account for them."""


@main.command()
@of_deployment
def target(chosen: Deployment) -> None:
    """Give the deployment's account and name."""
    output(account=chosen.account, name=chosen.name)


for step in (
    preparing.prepare,
    planning.plan,
    planning.summarise,
    planning.seal,
    planning.verify,
    planning.apply,
    publishing.push,
    publishing.record,
    practising.practise,
):
    main.add_command(step)


if __name__ == "__main__":
    try:
        main()
    except Refused as refusal:
        for line in refusal.args:
            print(f"Refused: {line}", file=sys.stderr)
        page("".join(f"\n> [!CAUTION]\n> Refused: {line}\n" for line in refusal.args))
        sys.exit(1)
