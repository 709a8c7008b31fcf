"""The boundary is what the deployment's roles are given: neither less nor more.

No task and no machine runs in the emulator. A role that was given more than the boundary allows
would lack it on AWS, without anybody being told before the first refusal; a boundary that allows
more than the roles are given would be for nobody but who abuses it.
"""

from collections.abc import Iterator
from typing import Any

import boto3
import pytest

from tally.aws.iam_policies import allowing, covers
from tally.aws.inventory import Inventory
from tests.support.deployment import ACCOUNT, KEYS, Deployment

Statement = dict[str, Any]


def account_of(deployment: Deployment) -> Inventory:
    """What a deployment holds, as the check reads it; AWS_ENDPOINT_URL must be its emulator's."""
    session = boto3.Session(
        aws_access_key_id=KEYS["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=KEYS["AWS_SECRET_ACCESS_KEY"],
    )
    return Inventory(deployment.name, session=session)


@pytest.fixture
def accounts(
    deployments: dict[str, Deployment], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Inventory]:
    """Each profile's, in turn."""

    def each() -> Iterator[Inventory]:
        for deployment in deployments.values():
            monkeypatch.setenv("AWS_ENDPOINT_URL", deployment.emulator.url)
            yield account_of(deployment)

    return each()


def boundary(aws: Inventory) -> list[Statement]:
    found = aws.iam.own_policies[f"arn:aws:iam::{ACCOUNT}:policy/{aws.name}-boundary"]
    assert {statement["Effect"] for statement in found} == {"Allow"}
    return found


def given(aws: Inventory) -> list[tuple[str, Statement]]:
    """What the deployment's own roles are allowed."""
    own = [name for name in aws.iam.roles if not name.startswith(f"{aws.name}-ci-")]
    assert {f"{aws.name}-{it}" for it in ("adder", "bastion", "reset-start")} <= set(own)
    return [(role, statement) for role in own for statement in allowing(aws, role)]


def within(action: str, resource: str, statement: Statement, bound: Statement) -> bool:
    """Whether a bound allows an action on a resource whenever the statement does."""
    return (
        any(covers(pattern, action) for pattern in bound["Action"])
        and any(covers(pattern, resource) for pattern in bound["Resource"])
        and all(
            asks_no_more(
                statement.get("Condition", {}),
                operator,
                key,
                [patterns] if isinstance(patterns, str) else patterns,
            )
            for operator, keys in bound.get("Condition", {}).items()
            for key, patterns in keys.items()
        )
    )


def asks_no_more(conditions: Statement, operator: str, key: str, patterns: list[str]) -> bool:
    """Whether a bound's condition holds wherever a statement's do."""
    assert operator == "StringLike", f"comparing {operator} is not written yet"
    values = conditions.get("StringEquals", {}).get(key, [])
    values = [values] if isinstance(values, str) else values
    return bool(values) and all(any(covers(it, value) for it in patterns) for value in values)


def parts(statement: Statement) -> list[tuple[str, str]]:
    return [(action, it) for action in statement["Action"] for it in statement["Resource"]]


def beyond(aws: Inventory, bounds: list[Statement]) -> set[tuple[str, str, str]]:
    """What roles are given and bounds don't allow: role, action and resource."""
    return {
        (role, action, resource)
        for role, statement in given(aws)
        for action, resource in parts(statement)
        if not any(within(action, resource, statement, bound) for bound in bounds)
    }


def test_no_role_is_given_more_than_the_boundary_allows(accounts: Iterator[Inventory]) -> None:
    for aws in accounts:
        bounds = boundary(aws)
        assert beyond(aws, bounds) == set()
        # Without any one of its statements some role would lack something.
        for statement in bounds:
            assert beyond(aws, [it for it in bounds if it is not statement])


def test_the_boundary_allows_nothing_that_no_role_is_given(accounts: Iterator[Inventory]) -> None:
    unused: set[tuple[str, str]] | None = None
    for aws in accounts:
        statements = [statement for _, statement in given(aws)]
        found = {
            # Without the names, in which the profiles' deployments differ.
            (
                action,
                resource.replace(f"{aws.name}-", "NAME-").replace(aws.name, "NAME"),
            )
            for bound in boundary(aws)
            for action, resource in parts(bound)
            if not any(
                action == its_action and covers(resource, its_resource)
                for statement in statements
                for its_action, its_resource in parts(statement)
            )
        }
        unused = found if unused is None else unused & found
    assert unused == set()


def test_every_role_has_the_boundary(accounts: Iterator[Inventory]) -> None:
    for aws in accounts:
        roles = {role for role, _ in given(aws)} | {f"{aws.name}-display-task"}
        arn = f"arn:aws:iam::{ACCOUNT}:policy/{aws.name}-boundary"
        assert {aws.iam.boundary(role) for role in roles} == {arn}


SECRET = "arn:aws:secretsmanager:us-east-1:123456789012:secret:tally"
BOUND = {
    "Action": ["kms:Decrypt"],
    "Resource": ["arn:aws:kms:us-east-1:123456789012:key/*"],
    "Condition": {"StringLike": {"kms:EncryptionContext:SecretARN": [f"{SECRET}/*"]}},
}
KEY = "arn:aws:kms:us-east-1:123456789012:key/1"


@pytest.mark.parametrize(
    ("action", "resource", "asked", "expected"),
    [
        ("kms:Decrypt", KEY, f"{SECRET}/adder", True),
        ("kms:Decrypt", KEY, [f"{SECRET}/adder", f"{SECRET}/reset"], True),
        ("kms:Decrypt", KEY, [f"{SECRET}/adder", f"{SECRET}-two/reset"], False),
        ("kms:Decrypt", KEY, [], False),
        ("kms:Encrypt", KEY, f"{SECRET}/adder", False),
        ("kms:Decrypt", "*", f"{SECRET}/adder", False),
    ],
)
def test_what_is_within_a_bound(
    action: str, resource: str, asked: str | list[str], expected: bool
) -> None:
    statement = {"Condition": {"StringEquals": {"kms:EncryptionContext:SecretARN": asked}}}
    assert within(action, resource, statement, BOUND) is expected
    assert not within(action, resource, {}, BOUND)
