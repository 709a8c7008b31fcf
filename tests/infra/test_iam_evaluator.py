"""The evaluator of IAM's policies, rule by rule as AWS documents them."""

import json

import pytest

from tests.support.iam.evaluator import (
    Decision,
    NotSupported,
    Policies,
    Principal,
    Request,
    decide,
    untold,
)

ALLOWED, DENIED, NOT_ALLOWED = Decision
ROLE = Principal("AWS", "arn:aws:iam::123456789012:role/tally-adder")
ACCOUNT = {"AWS": "arn:aws:iam::123456789012:root"}
OTHERS = {"AWS": "arn:aws:iam::123456789012:role/tally-reset"}
OBJECT = "arn:aws:s3:::tally-releases/adder/1.pex"
KEY = "arn:aws:kms:us-east-1:123456789012:key/1"


def document(*statements, version="2012-10-17"):
    return json.dumps({"Version": version, "Statement": list(statements)})


def allow(action="*", resource="*", **elements):
    return {"Effect": "Allow", "Action": action, "Resource": resource} | elements


def deny(*arguments, **elements):
    return allow(*arguments, **elements) | {"Effect": "Deny"}


def without(name, statement, **elements):
    return {key: it for key, it in statement.items() if key != name} | elements


def when(operator, value):
    return {"Condition": {operator: {"aws:RequestedRegion": value}}}


READ = document(allow("s3:GetObject", OBJECT))


def asked(policies, action="s3:GetObject", resource=OBJECT, principal=ROLE, **context):
    values = {key.replace("__", ":").lower(): it for key, it in context.items()}
    return decide(Request(principal, action, resource, values), policies)


@pytest.mark.parametrize(
    ("statements", "decision"),
    [
        ([], NOT_ALLOWED),
        ([allow("s3:GetObject", OBJECT)], ALLOWED),
        ([allow("S3:getobject", OBJECT)], ALLOWED),
        ([allow("s3:Get*", OBJECT)], ALLOWED),
        ([allow("s3:GetObjec?", OBJECT)], ALLOWED),
        ([allow("s3:PutObject", OBJECT)], NOT_ALLOWED),
        ([allow("s3:GetObject", OBJECT.upper())], NOT_ALLOWED),
        ([allow("s3:GetObject", "arn:aws:s3:::tally-*/adder/?.pex")], ALLOWED),
        ([allow("s3:GetObject", "arn:aws:s3:::tally-releases/reset/*")], NOT_ALLOWED),
        ([allow(), deny("s3:GetObject", OBJECT)], DENIED),
        ([allow(), deny("s3:PutObject", OBJECT)], ALLOWED),
        ([without("Action", allow(), NotAction="iam:*")], ALLOWED),
        ([without("Action", allow(), NotAction=["iam:*", "s3:Get*"])], NOT_ALLOWED),
        ([without("Resource", allow(), NotResource="arn:aws:s3:::other/*")], ALLOWED),
        ([without("Resource", allow(), NotResource=[OBJECT])], NOT_ALLOWED),
        ([allow(resource="arn:aws:s3:::tally-${aws:PrincipalAccount}/*")], NOT_ALLOWED),
        ([allow(resource="arn:aws:s3:::tally-${missing}/*")], NOT_ALLOWED),
        ([allow(resource="arn:aws:s3:::tally-${kind}/*")], ALLOWED),
    ],
    ids=str,
)
def test_a_denial_is_final_and_an_allowance_is_needed(statements, decision) -> None:
    assert asked(Policies((document(*statements),)), kind="releases") is decision


@pytest.mark.parametrize(
    ("operator", "wanted", "value", "holds"),
    [
        ("StringEquals", "us-east-1", "us-east-1", True),
        ("StringEquals", ["eu-west-1", "us-east-1"], "us-east-1", True),
        ("StringEquals", "us-*", "us-east-1", False),
        ("StringEquals", "US-EAST-1", "us-east-1", False),
        ("StringEquals", "us-east-1", None, False),
        ("StringNotEquals", ["eu-west-1", "us-east-1"], "us-east-1", False),
        ("StringNotEquals", "us-east-1", None, True),
        ("StringLike", "us-*", "us-east-1", True),
        ("StringNotLike", "us-*", "us-east-1", False),
        ("Bool", False, "false", True),
        ("Bool", "false", "true", False),
        ("ArnLike", "arn:aws:iam::1:role/*", "arn:aws:iam::1:role/a", True),
        ("ArnEquals", "arn:aws:iam::1:role/*", "arn:aws:iam::1:role/a", True),
        # Each part by itself: a star does not reach the next.
        ("ArnLike", "arn:aws:*:role/a", "arn:aws:iam::1:role/a", False),
        ("ArnNotEquals", "arn:aws:iam::1:role/a", "arn:aws:iam::1:role/a", False),
        ("ArnNotEquals", "arn:aws:iam::1:role/a", "arn:aws:iam::1:role/b", True),
    ],
    ids=str,
)
def test_conditions_compare_as_their_operators_do(operator, wanted, value, holds) -> None:
    context = {} if value is None else {"aws__requestedregion": value}
    policies = Policies((document(allow(**when(operator, wanted))),))
    assert asked(policies, **context) is (ALLOWED if holds else NOT_ALLOWED)


def test_all_conditions_must_hold() -> None:
    condition = {"StringEquals": {"a": "1", "b": "2"}, "StringLike": {"c": "3*"}}
    policies = Policies((document(allow(Condition=condition)),))
    assert asked(policies, a="1", b="2", c="30") is ALLOWED
    for wrong in ({"a": "2"}, {"b": "1"}, {"c": "4"}):
        assert asked(policies, **({"a": "1", "b": "2", "c": "30"} | wrong)) is NOT_ALLOWED


def by(principal, statement):
    return without("Resource", statement) | {"Principal": principal}


@pytest.mark.parametrize(
    ("identity", "boundary", "resource", "endpoint", "decision"),
    [
        (READ, READ, None, None, ALLOWED),
        (READ, document(allow("s3:PutObject")), None, None, NOT_ALLOWED),
        (document(), READ, None, None, NOT_ALLOWED),
        (READ, document(allow(), deny("s3:*")), None, None, DENIED),
        # In the same account the bucket's word is enough ...
        (document(), None, document(by({"AWS": ROLE.name}, allow())), None, ALLOWED),
        (document(), None, document(by("*", allow())), None, ALLOWED),
        # ... unless it names another or only the account ...
        (document(), None, document(by(OTHERS, allow())), None, NOT_ALLOWED),
        (document(), None, document(by(ACCOUNT, allow())), None, NOT_ALLOWED),
        # ... and within the boundary of the role that it names.
        (document(), document(), document(by({"AWS": ROLE.name}, allow())), None, NOT_ALLOWED),
        (READ, None, document(by("*", deny())), None, DENIED),
        (READ, None, document(by(OTHERS, deny())), None, ALLOWED),
        (READ, None, document(by(ACCOUNT, deny())), None, DENIED),
        # The entrance lets through and gives nothing.
        (READ, None, None, document(by("*", allow("s3:GetObject"))), ALLOWED),
        (READ, None, None, document(by("*", allow("s3:PutObject"))), NOT_ALLOWED),
        (document(), None, None, document(by("*", allow())), NOT_ALLOWED),
    ],
)
def test_each_policy_has_its_say(identity, boundary, resource, endpoint, decision) -> None:
    assert asked(Policies((identity,), boundary, resource, endpoint)) is decision


@pytest.mark.parametrize(
    ("identity", "key", "decision"),
    [
        ([allow("kms:Decrypt")], [by(ACCOUNT, allow())], ALLOWED),
        ([allow("kms:Decrypt")], [by(OTHERS, allow())], NOT_ALLOWED),
        ([], [by(ACCOUNT, allow())], NOT_ALLOWED),
        ([], [by({"AWS": ROLE.name}, allow())], ALLOWED),
    ],
)
def test_a_keys_own_policy_must_allow(identity, key, decision) -> None:
    policies = Policies((document(*identity),), resource=document(*key))
    assert asked(policies, "kms:Decrypt", KEY) is decision


def test_services_and_providers_have_what_a_resource_gives_them() -> None:
    service = Principal("Service", "ecs-tasks.amazonaws.com")
    for principals, decision in (
        ({"Service": "ecs-tasks.amazonaws.com"}, ALLOWED),
        ({"Service": "ec2.amazonaws.com"}, NOT_ALLOWED),
        ({"AWS": "ecs-tasks.amazonaws.com"}, NOT_ALLOWED),
    ):
        trust = document(by(principals, allow("sts:AssumeRole")))
        policies = Policies((document(allow()),), resource=trust)
        assert asked(policies, "sts:AssumeRole", ROLE.name, service) is decision


def test_an_action_that_nobody_knows_is_not_allowed() -> None:
    everything = Policies((document(allow()),))
    assert asked(everything, "s3:GetObject") is ALLOWED
    assert asked(everything, "s3:GetObjects") is NOT_ALLOWED
    assert asked(everything, "s4:GetObject") is NOT_ALLOWED


def test_a_resource_that_is_not_told_is_any_or_refused() -> None:
    def ask(resource):
        return asked(Policies((document(allow(resource=resource)),)), "ec2:RunInstances", call)

    call = untold("ec2")
    assert ask("*") is ALLOWED
    assert ask("arn:aws:s3:::tally/*") is NOT_ALLOWED
    with pytest.raises(NotSupported):
        ask("arn:aws:ec2:us-east-1:123456789012:instance/*")


@pytest.mark.parametrize(
    "statement",
    [
        allow(Condition={"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}),
        allow(Condition={"StringEqualsIfExists": {"a": "b"}}),
        allow(Condition={"ForAnyValue:StringEquals": {"a": "b"}}),
        allow(Condition={"Null": {"a": "true"}}),
        allow(NotPrincipal="*"),
        allow(Principal={"CanonicalUser": "1"}),
        allow(Principal={"AWS": "arn:aws:sts::123456789012:assumed-role/a/b"}),
        allow(Principal={"AWS": "arn:aws:iam::123456789012:role/*"}),
        allow(NotAction="s3:*"),
        allow(NotResource="*"),
        allow(resource="arn:aws:s3*:::x"),
        allow(resource="tally"),
        allow(resource="arn:aws:s3:::${a, 'b'}"),
        allow(resource="arn:aws:s3:::${*}"),
        without("Effect", allow(), Effect="Maybe"),
    ],
    ids=str,
)
def test_what_is_not_known_is_refused(statement) -> None:
    with pytest.raises(NotSupported):
        asked(Policies((document(statement),)))
    with pytest.raises(NotSupported):
        asked(Policies((document(allow(resource="arn:aws:s3:::${a}"), version="2008-10-17"),)))


def test_a_key_without_a_policy_is_refused() -> None:
    with pytest.raises(NotSupported):
        asked(Policies((document(allow()),)), "kms:Decrypt", KEY)
