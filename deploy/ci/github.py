"""GitHub's REST API for this repository, by the standard library alone.

Environment variables give its address, the repository and the run's token.
"""

import json
import os
import urllib.request
from typing import Any


def call(method: str, path: str, fields: dict[str, Any] | None = None) -> Any:
    """Send a request; return the answer, or raise `urllib.error.HTTPError`.

    A path is the repository's, unless it begins with a slash.
    """
    own = "" if path.startswith("/") else "/repos/{GITHUB_REPOSITORY}/".format(**os.environ)
    request = urllib.request.Request(
        os.environ["GITHUB_API_URL"] + own + path,
        method=method,
        data=None if fields is None else json.dumps(fields).encode(),
        headers={
            "Accept": "application/vnd.github+json",
            "Authorization": f"Bearer {os.environ['GITHUB_TOKEN']}",
            "X-GitHub-Api-Version": "2022-11-28",
        },
    )
    # Seconds; GitHub's own limit is ten.
    with urllib.request.urlopen(request, timeout=30) as answer:
        content = answer.read()
    return json.loads(content) if content else None
