"""GitHub's part, played by a small server."""

import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote

from tests.support.deployment import REPOSITORY

TOKEN = "token-of-the-run"
# As GitHub's REST API describes an environment that asks somebody.
REVIEWED = [
    {"type": "branch_policy"},
    {"type": "required_reviewers", "reviewers": [{"type": "User"}]},
]


class GitHub(ThreadingHTTPServer):
    """One repository's issues and environments, by the calls of GitHub's REST API that are used."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.issues: list[dict[str, Any]] = []
        self.comments: list[tuple[int, str]] = []
        # An environment's protection rules, by its name.
        self.environments: dict[str, list[dict[str, Any]]] = {}

    @property
    def environment(self) -> dict[str, str]:
        """What GitHub tells a job of itself."""
        return {
            "GITHUB_API_URL": f"http://127.0.0.1:{self.server_port}",
            "GITHUB_REPOSITORY": REPOSITORY,
            "GITHUB_RUN_ID": "42",
            "GITHUB_SERVER_URL": "https://github.com",
            "GITHUB_TOKEN": TOKEN,
        }


class _Handler(BaseHTTPRequestHandler):
    server: GitHub

    def do_GET(self) -> None:
        assert self.headers["Authorization"] == f"Bearer {TOKEN}"
        if named := re.fullmatch(rf"/repos/{REPOSITORY}/environments/(.+)", self.path):
            rules = self.server.environments.get(unquote(named[1]))
            self._answer(404 if rules is None else 200, {"protection_rules": rules})
            return
        assert self.path == f"/repos/{REPOSITORY}/issues?state=open&labels=drift&per_page=100"
        found = [
            issue
            for issue in self.server.issues
            if issue["state"] == "open" and "drift" in issue["labels"]
        ]
        self._answer(200, found)

    def do_POST(self) -> None:
        given = self._given()
        match self.path.removeprefix(f"/repos/{REPOSITORY}/").split("/"):
            case ["issues"]:
                issue = {"number": len(self.server.issues) + 1, "state": "open", **given}
                self.server.issues.append(issue)
                self._answer(201, issue)
            case ["issues", number, "comments"]:
                self.server.comments.append((int(number), given["body"]))
                self._answer(201, {})

    def do_PATCH(self) -> None:
        number = int(self.path.removeprefix(f"/repos/{REPOSITORY}/issues/"))
        issue = self.server.issues[number - 1]
        issue.update(self._given())
        self._answer(200, issue)

    def _given(self) -> dict[str, Any]:
        assert self.headers["Authorization"] == f"Bearer {TOKEN}"
        given: dict[str, Any] = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        return given

    def _answer(self, status: int, body: object) -> None:
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def github() -> Iterator[GitHub]:
    """Run the server for the block."""
    with GitHub() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
