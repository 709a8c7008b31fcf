"""GitHub's part, played by a small server."""

import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote

from tests.support.deployment import REPOSITORY, REPOSITORY_ID

TOKEN = "token-of-the-run"
# As GitHub's REST API describes an environment that asks somebody.
REVIEWED = [
    {"type": "branch_policy"},
    {"type": "required_reviewers", "reviewers": [{"type": "User"}]},
]


class GitHub(ThreadingHTTPServer):
    """One repository, by the calls of GitHub's REST API that are used."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.issues: list[dict[str, Any]] = []
        self.comments: list[tuple[int, str]] = []
        # An environment's protection rules, by its name.
        self.environments: dict[str, list[dict[str, Any]]] = {}
        # The branches that may use it.
        self.branches: dict[str, list[str]] = {}
        self.variables: dict[str, str] = {}
        # Private repositories below Enterprise have no required reviewers: GitHub leaves them out.
        self.asks_reviewers = True

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
        server, path = self.server, unquote(self.path)
        if path == f"/repos/{REPOSITORY}":
            self._answer(200, {"id": int(REPOSITORY_ID)})
        elif login := re.fullmatch("/users/(.+)", path):
            self._answer(200, {"login": login[1], "id": len(login[1])})
        elif path == f"/repos/{REPOSITORY}/issues?state=open&labels=drift&per_page=100":
            found = [
                it for it in server.issues if it["state"] == "open" and "drift" in it["labels"]
            ]
            self._answer(200, found)
        elif named := re.fullmatch(rf"/repos/{REPOSITORY}/environments/([^/]+)(/.+)?", path):
            rules = server.environments.get(named[1])
            policies = [{"name": it} for it in server.branches.get(named[1], ())]
            found = {"branch_policies": policies} if named[2] else {"protection_rules": rules}
            self._answer(404 if rules is None else 200, found)
        elif named := re.fullmatch(rf"/repos/{REPOSITORY}/actions/variables/(\w+)", path):
            value = server.variables.get(named[1])
            self._answer(404 if value is None else 200, {"name": named[1], "value": value})
        else:
            self._answer(404, {})

    def do_PUT(self) -> None:
        given, name = self._given(), unquote(self.path.rpartition("/")[2])
        rules = [{"type": "branch_policy"}]
        if given.get("reviewers") and self.server.asks_reviewers:
            rules.append({"type": "required_reviewers", "reviewers": given["reviewers"]})
        self.server.environments[name] = rules
        self._answer(200, {"name": name, "protection_rules": rules})

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
            case ["environments", name, "deployment-branch-policies"]:
                self.server.branches.setdefault(unquote(name), []).append(given["name"])
                self._answer(200, given)
            case ["actions", "variables"]:
                assert given["name"] not in self.server.variables
                self.server.variables[given["name"]] = given["value"]
                self._answer(201, {})

    def do_PATCH(self) -> None:
        if "/actions/variables/" in self.path:
            given = self._given()
            self.server.variables[given["name"]] = given["value"]
            self.send_response(204)
            self.end_headers()
            return
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
