"""IAM: whether a caller may do what it calls for, by the policies that the emulator holds.

The access key is the name of the role that calls; `test` is an administrator. moto's own evaluation
knows neither resources, conditions and boundaries nor the policies of buckets and keys.
"""

from contextlib import suppress
from typing import Any

from moto.core.exceptions import ServiceException
from moto.core.responses import ActionResult, BaseResponse
from moto.ecs.models import ecs_backends
from moto.iam.exceptions import NotFoundException
from moto.iam.models import ManagedPolicy, iam_backends
from moto.kms.models import kms_backends
from moto.rds.models import rds_backends
from moto.s3.exceptions import S3AccessDeniedError
from moto.s3.models import s3_backends
from moto.secretsmanager.models import secretsmanager_backends

from tests.support.iam.evaluator import Decision, Document, Policies, Principal, decide
from tests.support.iam.requests import ACCOUNT, REGION, requests_of, role_arn

ADMINISTRATOR = "test"
EVERYTHING = '{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}'
iam, s3 = iam_backends[ACCOUNT]["aws"], s3_backends[ACCOUNT]["aws"]
kms, secrets = kms_backends[ACCOUNT][REGION], secretsmanager_backends[ACCOUNT][REGION]
ecs, rds = ecs_backends[ACCOUNT][REGION], rds_backends[ACCOUNT][REGION]


def refused(call: dict[str, Any]) -> list[str]:
    """What the caller may not do; the call's record gets the policies of the resources."""
    principal = principal_of(call["caller"])
    found = requests_of(call, principal)
    call["policies"] = {
        it.resource: policy for it in found if (policy := resource_policy(it.resource)) is not None
    }
    try:
        identity, boundary = policies_of(call["caller"])
    except NotFoundException:
        return [f"{it.action}: there is no such role" for it in found]
    return [
        f"{it.action} on {it.resource}"
        for it in found
        if decide(it, Policies(identity, boundary, call["policies"].get(it.resource)))
        is not Decision.ALLOWED
    ]


def principal_of(caller: str) -> Principal:
    if caller == ADMINISTRATOR:
        return Principal("AWS", f"arn:aws:iam::{ACCOUNT}:user/administrator")
    return Principal("AWS", role_arn(caller))


def policies_of(caller: str) -> tuple[tuple[Document, ...], Document | None]:
    """A role's own policies, and its boundary."""
    if caller == ADMINISTRATOR:
        return (EVERYTHING,), None
    role = iam.get_role(caller)
    attached = tuple(map(document_of, role.managed_policies.values()))
    limit = role.permissions_boundary_arn
    boundary = document_of(iam.managed_policies[limit]) if limit else None
    return (*role.policies.values(), *attached), boundary


def document_of(policy: ManagedPolicy) -> Document:
    [document] = [it.document for it in policy.versions if it.is_default]
    return document


def resource_policy(arn: str) -> Document | None:
    """A bucket's policy, or a key's; an object has its bucket's."""
    service, name = arn.split(":")[2:6:3] if arn != "*" else ("", "")
    if service == "s3":
        bucket = s3.buckets.get(name.partition("/")[0])
        policy = bucket.policy if bucket else None
        return policy.decode() if isinstance(policy, bytes) else policy
    if service == "kms" and name.startswith("key/"):
        key = kms.keys.get(name.removeprefix("key/"))
        return key.policy if key else None
    return None


def facts_of(call: dict[str, Any]) -> dict[str, str]:
    """What is known of what a call names: a role's boundary, a secret's key, a task's roles."""
    said = call["parameters"]
    facts = {}
    if call["service"] == "iam" and "RoleName" in said:
        boundary = said.get("PermissionsBoundary")
        with suppress(NotFoundException):
            boundary = boundary or iam.get_role(said["RoleName"]).permissions_boundary_arn
        facts["boundary"] = boundary
    if call["service"] == "kms" and str(said.get("KeyId", "")).startswith("alias/"):
        said["KeyId"] = kms.get_key_id_from_alias(said["KeyId"])
    key = said.get("KmsKeyId")
    if source := rds.databases.get(said.get("SourceDBInstanceIdentifier", "")):
        key = key or source.kms_key_id
    if (call["service"], call["action"]) == ("ecs", "RunTask"):
        task = ecs.describe_task_definition(said["taskDefinition"])
        roles = (getattr(task, it, None) for it in ("execution_role_arn", "task_role_arn"))
        facts["roles"] = " ".join(filter(None, roles))
    if call["service"] == "secretsmanager" and said.get("SecretId", "") in secrets.secrets:
        secret = secrets.secrets[said["SecretId"]]
        said["SecretId"], key = secret.arn, key or secret.kms_key_id
    if key:
        facts["key"] = (
            key if key.startswith("arn:") else f"arn:aws:kms:{REGION}:{ACCOUNT}:key/{key}"
        )
    return {name: it for name, it in facts.items() if it}


class AccessDenied(ServiceException):
    code = "AccessDenied"


def patch() -> None:
    """Refuse what is refused."""
    call_action = BaseResponse.call_action

    def call_if_allowed(self: BaseResponse) -> Any:
        if not self.refused:
            return call_action(self)
        lacking = ", ".join(self.refused)
        refusal = AccessDenied(f"{self.caller} is not authorized to perform: {lacking}")
        return self.serialized(ActionResult(refusal))

    def authorise(self: BaseResponse, *_: Any, **__: Any) -> None:
        if self.refused:
            raise S3AccessDeniedError

    BaseResponse.call_action = call_if_allowed
    BaseResponse._authenticate_and_authorize_s3_action = authorise
