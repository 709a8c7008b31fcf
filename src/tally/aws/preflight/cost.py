"""What it will cost."""

from typing import Final

from tally.aws.preflight.finding import Situation, Subject

subject = Subject()

# US dollars a month without traffic: docs/costs.md.
MONTHLY: Final = {"small": 79.58, "production": 342.71}


@subject.asks("cost", "What will it cost?", "Choose the profile small, or read docs/costs.md.")
def _cost(situation: Situation) -> tuple[bool, str]:
    return True, f"about ${MONTHLY[situation.profile]:.0f} a month without traffic (docs/costs.md)"
