"""Seal a plan, so that others may read the file but only the approved apply can open it.

A plan holds the values of the state. AES-256-GCM encrypts it under a key that KMS makes for this
plan alone. KMS decrypts that key only for the role that applies, and only with the same facts: the
key's encryption context.
"""

import base64
import json
from typing import Any

from botocore.exceptions import ClientError
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from deploy.ci.facts import Facts, differences
from deploy.ci.refused import Refused

# 96 bits, as GCM needs (NIST SP 800-38D). It may be constant, because each key seals one plan.
_NONCE = bytes(12)


def seal(kms: Any, key: str, plan: bytes, facts: Facts) -> str:
    """Encrypt the plan under the KMS key (its id, ARN or alias)."""
    made = kms.generate_data_key(KeyId=key, KeySpec="AES_256", EncryptionContext=facts.context())
    sealed = AESGCM(made["Plaintext"]).encrypt(_NONCE, plan, facts.to_json().encode())
    return json.dumps(
        {
            "facts": facts.to_json(),
            "key": base64.b64encode(made["CiphertextBlob"]).decode(),
            "plan": base64.b64encode(sealed).decode(),
        }
    )


def unseal(kms: Any, key: str, sealed: str, approved: Facts) -> bytes:
    """Decrypt a sealed plan; raise Refused unless it is unchanged and has the approved facts."""
    try:
        parts = json.loads(sealed)
        facts = Facts.from_json(parts["facts"])
        wrapped, plan = (base64.b64decode(parts[name], validate=True) for name in ("key", "plan"))
    except (ValueError, KeyError, TypeError) as error:
        raise Refused(f"The sealed plan can't be read: {error}.") from error
    if found := differences(approved, facts):
        raise Refused("The sealed plan is not the approved one.", *found)
    try:
        opened = kms.decrypt(
            KeyId=key, CiphertextBlob=wrapped, EncryptionContext=approved.context()
        )
        return AESGCM(opened["Plaintext"]).decrypt(_NONCE, plan, approved.to_json().encode())
    except InvalidTag as error:
        raise Refused("The sealed plan was changed after it was sealed.") from error
    except ClientError as error:
        if error.response["Error"]["Code"] != "InvalidCiphertextException":
            raise
        raise Refused("The sealed plan's key was changed, or belongs to another plan.") from error
