"""MiniStack's evaluator of IAM, in a process of its own, and where ours differs with reason."""

import json
import subprocess
from collections.abc import Sequence

import pytest

from tests.support.iam.evaluator import Decision, Policies, Request, decide, is_action
from tests.support.paths import ROOT

PYTHON = ROOT / ".venv/ministack/bin/python"
Case = tuple[Request, Policies]


def theirs(cases: Sequence[Case]) -> list[Decision]:
    """What MiniStack decides."""
    if not PYTHON.exists():
        pytest.skip("ministack is not installed: make .venv/ministack/installed")
    documents: dict[str | None, int] = {None: 0}

    def number(document: str | None) -> int:
        return documents.setdefault(document, len(documents))

    described = [
        {
            "principal": [request.principal.kind, request.principal.name],
            "action": request.action,
            "resource": request.resource,
            "context": dict(request.context),
            "identity": [number(it) for it in policies.identity],
            "boundary": number(policies.boundary),
            "own": number(policies.resource),
            "endpoint": number(policies.endpoint),
        }
        for request, policies in cases
    ]
    said = subprocess.run(
        [PYTHON, "-I", ROOT / "tests/support/iam/ministack_decides.py"],
        input=json.dumps({"documents": list(documents), "cases": described}),
        capture_output=True,
        text=True,
        check=True,
    )
    return [Decision[it] for it in json.loads(said.stdout)]


def only_unknown(request: Request, _: Policies, ours: Decision) -> bool:
    """AWS has no such action; MiniStack does not ask."""
    return not is_action(request.action) and ours is Decision.NOT_ALLOWED


def only_trust(request: Request, _: Policies, ours: Decision) -> bool:
    """MiniStack says of a trust policy whether it allows, and not what denies."""
    return request.principal.kind == "Federated" and ours is Decision.DENIED


def only_everybody(request: Request, policies: Policies, _: Decision) -> bool:
    """`{"AWS": "*"}` is everybody, as `"*"` is ("AWS JSON policy elements: Principal")."""
    return request.principal.kind == "Federated" and '{"AWS": "*"}' in (policies.resource or "")


EXPLAINED = (only_unknown, only_trust, only_everybody)


Difference = tuple[Request, Policies, Decision, Decision]


def differing(cases: Sequence[Case]) -> list[Difference]:
    """Where ours and theirs differ."""
    decided = ((*it, decide(*it), other) for it, other in zip(cases, theirs(cases), strict=True))
    return [it for it in decided if it[2] is not it[3]]


def unexplained(differences: Sequence[Difference]) -> list[Difference]:
    """Those that no rule of AWS's documentation explains."""
    return [it for it in differences if not any(explains(*it[:3]) for explains in EXPLAINED)]
