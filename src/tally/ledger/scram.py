"""What PostgreSQL stores of a password: enough to check it, not to know it."""

import hashlib
import hmac
import os
from base64 import b64encode
from typing import Final

# PostgreSQL's own defaults for scram_iterations and the length of the salt.
_ITERATIONS: Final = 4096
_SALT_BYTES: Final = 16


def verifier(password: str, salt: bytes | None = None) -> str:
    """Give the SCRAM-SHA-256 verifier (RFC 5803) of an ASCII password, under a new salt.

    ASCII, because other letters would have to be normalised first (RFC 4013).
    """
    salt = os.urandom(_SALT_BYTES) if salt is None else salt
    salted = hashlib.pbkdf2_hmac("sha256", password.encode("ascii"), salt, _ITERATIONS)
    client_key = hmac.digest(salted, b"Client Key", "sha256")
    stored_key = hashlib.sha256(client_key).digest()
    server_key = hmac.digest(salted, b"Server Key", "sha256")
    salt_text, stored, server = (
        b64encode(part).decode() for part in (salt, stored_key, server_key)
    )
    return f"SCRAM-SHA-256${_ITERATIONS}:{salt_text}${stored}:{server}"
