"""What MiniStack's evaluator of IAM says: run by its own Python, .venv/ministack/bin/python.

It reads documents and cases, which name documents by their numbers, and writes decisions. Only
MiniStack's evaluator is loaded. It knows no endpoints: their policies are asked as resources' are.
"""

import json
import sys
from typing import Any

from ministack.core.iam_evaluator import (
    EvalContext,
    combine_resource_policy,
    evaluate,
    evaluate_resource_policy,
    evaluate_trust_policy,
    parse_policy_document,
)

NAMES = {"Allow": "ALLOWED", "Deny": "DENIED", "ImplicitDeny": "NOT_ALLOWED"}


GIVEN = json.load(sys.stdin)
DOCUMENTS = GIVEN["documents"]
PARSED = [parse_policy_document(it or {}) for it in DOCUMENTS]


def decide(case: dict[str, Any]) -> str:
    kind, name = case["principal"]
    own, endpoint = DOCUMENTS[case["own"]], DOCUMENTS[case["endpoint"]]
    values = dict(case["context"])
    context = EvalContext(
        principal_arn=name,
        principal_type="AssumedRole",
        principal_account=name.split(":")[4] if kind == "AWS" else "",
        action=case["action"],
        resource_arn=case["resource"],
        region=values.pop("aws:requestedregion"),
        secure_transport=values.pop("aws:securetransport") == "true",
        service_context=values,
    )
    if kind == "Federated":
        return "ALLOWED" if evaluate_trust_policy(own, name, context) else "NOT_ALLOWED"
    if kind == "Service":
        return NAMES[evaluate_resource_policy(own, context, service=name).decision]
    limits = [[PARSED[case["boundary"]]]] if case["boundary"] else []
    found = evaluate(context, [PARSED[it] for it in case["identity"]], *limits)
    if own:
        found = combine_resource_policy(
            found, context, own, None, required=":key/" in case["resource"], limits=limits
        )
    if endpoint and found.decision != "Deny":
        let_through = evaluate_resource_policy(endpoint, context).decision
        return NAMES[found.decision if let_through == "Allow" else let_through]
    return NAMES[found.decision]


json.dump([decide(it) for it in GIVEN["cases"]], sys.stdout)
