"""One issue for each environment, open while its resources differ from the last apply.

    python3 -m deploy.ci.drift --environment production --changes true --summary summary.md

needs only the standard library, so the job that may write issues installs nothing. Environment
variables give GitHub's address, the repository, its token and the run's number.
"""

import argparse
import os
from pathlib import Path

from deploy.ci.github import call

LABEL = "drift"
# GitHub refuses a body longer than 65,536 characters.
LONGEST_BODY = 60_000


def report(environment: str, summary: str | None) -> str:
    """Open, update or close the issue, and say which. Without a summary there is no drift."""
    title = f"Drift in {environment}"
    found = call("GET", f"issues?state=open&labels={LABEL}&per_page=100")
    number = next((issue["number"] for issue in found if issue["title"] == title), None)
    run = "{GITHUB_SERVER_URL}/{GITHUB_REPOSITORY}/actions/runs/{GITHUB_RUN_ID}".format(
        **os.environ
    )
    if summary is None:
        if number is None:
            return "no drift"
        call("POST", f"issues/{number}/comments", {"body": f"The drift is gone: {run}"})
        call("PATCH", f"issues/{number}", {"state": "closed"})
        return f"drift is gone: closed #{number}"
    body = (
        f"A plan of the running release in {environment} has changes ({run}). Somebody changed a"
        " resource by hand, AWS changed one, or main has configuration that is not applied yet."
        f" docs/operations.md says what to do.\n\n{summary[:LONGEST_BODY]}"
    )
    if number is None:
        made = call("POST", "issues", {"title": title, "body": body, "labels": [LABEL]})
        return f"drift: opened #{made['number']}"
    call("PATCH", f"issues/{number}", {"body": body})
    return f"drift: updated #{number}"


def main() -> None:
    """Report drift, and print what changed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--environment", required=True)
    parser.add_argument("--changes", choices=("true", "false"), required=True)
    parser.add_argument("--summary", type=Path, required=True)
    arguments = parser.parse_args()
    summary = arguments.summary.read_text() if arguments.changes == "true" else None
    print(report(arguments.environment, summary))


if __name__ == "__main__":
    main()
