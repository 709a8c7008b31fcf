"""Our evaluation of IAM's policies beside MiniStack's, which others wrote, of generated requests.

tests/infra/test_calls.py compares them on all that was recorded.
"""

import json
import random
from collections import Counter

from tests.support.iam.evaluator import Decision, Policies, Principal, Request, decide
from tests.support.iam.oracle import EXPLAINED, Case, differing, unexplained
from tests.support.iam.requests import role_arn

SEED, REQUESTS = 16, 10_000

ROLE = role_arn("tally-adder")
PRINCIPALS = (ROLE, role_arn("tally-reset"))
SERVICE, PROVIDER = "ecs-tasks.amazonaws.com", "arn:aws:iam::123456789012:oidc-provider/github"
ACTIONS = (
    *("s3:GetObject", "s3:PutObject", "s3:ListBucket", "kms:Decrypt", "kms:GenerateDataKey"),
    *("iam:PassRole", "iam:CreateRole", "logs:PutLogEvents", "ecr:BatchGetImage", "s3:GetNothing"),
)
ACTION_PATTERNS = (*ACTIONS, "*", "s3:*", "S3:get*", "kms:?ecrypt", "iam:*Role", "*:Put*")
OBJECT, KEY = "arn:aws:s3:::tally-releases/adder/1.pex", "arn:aws:kms:us-east-1:123456789012:key/1"
RESOURCES = (OBJECT, "arn:aws:s3:::tally-releases", KEY, ROLE, "*")
RESOURCE_PATTERNS = (
    *(*RESOURCES, "*", "*", "arn:aws:s3:::tally-*", "arn:aws:s3:::*/adder/?.pex"),
    *("arn:aws:kms:*:123456789012:key/*", "arn:aws:iam::123456789012:role/tally-*"),
    *("arn:aws:S3:::tally-releases", "arn:aws:kms:us-east-1:*", "arn:aws:s3:::TALLY-*"),
)
VALUES = {
    "aws:RequestedRegion": ("us-east-1", "eu-west-1"),
    "aws:SecureTransport": ("true", "false"),
    "kms:ViaService": ("rds.us-east-1.amazonaws.com", "secretsmanager.us-east-1.amazonaws.com"),
    "aws:SourceArn": (ROLE, KEY, OBJECT),
    "aws:PrincipalArn": PRINCIPALS,
    "aws:PrincipalAccount": ("123456789012", "210987654321"),
}
# MiniStack has a value for these in any case.
ALWAYS = {"aws:RequestedRegion", "aws:SecureTransport"}
COMPARED = {
    "StringEquals": {"kms:ViaService", "aws:RequestedRegion", "aws:PrincipalAccount"},
    "StringNotEquals": {"kms:ViaService", "aws:RequestedRegion"},
    "StringLike": {"kms:ViaService", "aws:RequestedRegion"},
    "StringNotLike": {"kms:ViaService"},
    "Bool": {"aws:SecureTransport"},
    "ArnEquals": {"aws:SourceArn", "aws:PrincipalArn"},
    "ArnLike": {"aws:SourceArn", "aws:PrincipalArn"},
    "ArnNotEquals": {"aws:SourceArn", "aws:PrincipalArn"},
    "ArnNotLike": {"aws:SourceArn"},
}
HAS_PATTERNS = {"StringLike", "StringNotLike", "ArnEquals", "ArnLike", "ArnNotEquals", "ArnNotLike"}


NAMED = (
    *("*", {"AWS": "*"}, {"AWS": ROLE}, {"AWS": list(PRINCIPALS)}, {"AWS": "123456789012"}),
    *({"AWS": "arn:aws:iam::123456789012:root"}, {"AWS": "210987654321"}),
    *({"Service": SERVICE}, {"Federated": PROVIDER}),
)


class Generator:
    """Requests and policies of few words, so that they often meet."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)

    def case(self) -> Case:
        context = {
            key.lower(): self.one(values)
            for key, values in VALUES.items()
            if "Principal" not in key and (key in ALWAYS or self.maybe(0.5))
        }
        # What asks with a name of its own has only what a resource gives it.
        if self.maybe(0.1):
            request = Request(
                Principal("Federated", PROVIDER), "sts:AssumeRoleWithWebIdentity", ROLE, context
            )
            return request, Policies(resource=self.document(principals=True, trust=True))
        action, resource = self.one(ACTIONS), self.one(RESOURCES)
        if self.maybe(0.1):
            request = Request(Principal("Service", SERVICE), action, resource, context)
            return request, Policies(resource=self.document(principals=True))
        request = Request(Principal("AWS", self.one(PRINCIPALS)), action, resource, context)
        return request, Policies(
            tuple(self.document() for _ in range(self.random.randint(0, 3))),
            self.document() if self.maybe(0.4) else None,
            self.document(principals=True) if ":key/" in resource or self.maybe(0.4) else None,
            self.document(principals=True) if self.maybe(0.2) else None,
        )

    def document(self, *, principals: bool = False, trust: bool = False) -> str:
        count = self.random.randint(1, 3)
        statements = [self.statement(principals, trust) for _ in range(count)]
        return json.dumps({"Version": "2012-10-17", "Statement": statements})

    def statement(self, principals: bool, trust: bool) -> dict[str, object]:
        found: dict[str, object] = {"Effect": "Allow" if self.maybe(0.8) else "Deny"}
        actions = (*ACTION_PATTERNS, "sts:AssumeRole*") if trust else ACTION_PATTERNS
        found["Action" if self.maybe(0.85) else "NotAction"] = self.some(actions)
        if not trust:
            found["Resource" if self.maybe(0.85) else "NotResource"] = self.some(RESOURCE_PATTERNS)
        if principals:
            found["Principal"] = self.one(NAMED)
        if self.maybe(0.4):
            operators = self.random.sample(sorted(COMPARED), self.random.randint(1, 2))
            found["Condition"] = {it: self.compared(it) for it in operators}
        return found

    def compared(self, operator: str) -> dict[str, list[str]]:
        key = self.one(sorted(COMPARED[operator]))
        values = self.some(VALUES[key])
        if operator in HAS_PATTERNS and self.maybe(0.5):
            values = [self.blurred(it) for it in values]
        return {key: values}

    def blurred(self, value: str) -> str:
        """A pattern for a value, and now and then for another."""
        parts = value.split(":")
        parts[-1] = self.one(("*", f"{parts[-1][:3]}*", f"{parts[-1][:-1]}?", f"*{parts[-1][-2:]}"))
        return ":".join(parts)

    def maybe(self, chance: float) -> bool:
        return self.random.random() < chance

    def one(self, choices):
        return self.random.choice(choices)

    def some(self, choices) -> list[str]:
        return self.random.sample(choices, self.random.randint(1, min(3, len(choices))))


def test_generated_requests_are_decided_as_others_decide_them() -> None:
    generator = Generator(SEED)
    cases = [generator.case() for _ in range(REQUESTS)]
    found = differing(cases)
    assert unexplained(found) == []
    # They are worth something: each decision is common, and each explanation has its use.
    seen = Counter((request.principal.kind, decide(request, it)) for request, it in cases)
    assert all(seen[kind, it] >= 20 for kind in ("AWS", "Service", "Federated") for it in Decision)
    assert all(any(explains(*it[:3]) for it in found) for explains in EXPLAINED)
