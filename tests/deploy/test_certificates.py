"""The certificate authorities of RDS that come with Tally are what AWS documents of them."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.x509.oid import NameOID

from tally.aws.requirements.database import AUTHORITIES

PEM = (Path(__file__).parents[2] / "deploy/rds-us-east-1.pem").read_bytes()
# Authority: common name, key, years it is valid for, and SHA-256 fingerprint.
DOCUMENTED = {
    "rds-ca-rsa2048-g1": (
        ("RSA2048", RSAPublicKey, 2048, 40),
        "e4ce41d069f4bdcdb714259058961ee42ed18cf2bf627a3d647aff25437d4b68",
    ),
    "rds-ca-rsa4096-g1": (
        ("RSA4096", RSAPublicKey, 4096, 100),
        "1c753cf0334ff82a47e0d3205839c8549b7d9a8a3d9a685cccecc80f82fe97e6",
    ),
    "rds-ca-ecc384-g1": (
        ("ECC384", EllipticCurvePublicKey, 384, 100),
        "82d99e9e409703044c3f886f87a0408c96cd74dee2c9ba920e6553a32e372539",
    ),
}


@pytest.fixture(params=DOCUMENTED)
def documented(request):
    return DOCUMENTED[request.param]


def certificates():
    return {
        it.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value: it
        for it in x509.load_pem_x509_certificates(PEM)
    }


def test_there_are_those_of_us_east_1_and_no_others():
    assert set(DOCUMENTED) == set(AUTHORITIES)
    names = {f"Amazon RDS us-east-1 Root CA {kind} G1" for (kind, *_), _ in DOCUMENTED.values()}
    assert set(certificates()) == names


def test_each_is_the_documented_root(documented):
    (kind, key_class, bits, years), fingerprint = documented
    certificate = certificates()[f"Amazon RDS us-east-1 Root CA {kind} G1"]
    assert certificate.fingerprint(hashes.SHA256()).hex() == fingerprint
    organization = certificate.subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)
    assert organization[0].value == "Amazon Web Services, Inc."
    key = certificate.public_key()
    assert isinstance(key, key_class)
    assert key.key_size == bits
    made = certificate.not_valid_before_utc
    assert made.date().isoformat() == "2021-05-25"
    assert certificate.not_valid_after_utc.year == made.year + years
    assert certificate.not_valid_after_utc > datetime.now(UTC)


def test_each_signs_itself_and_may_sign_others(documented):
    (kind, *_), _ = documented
    certificate = certificates()[f"Amazon RDS us-east-1 Root CA {kind} G1"]
    certificate.verify_directly_issued_by(certificate)
    constraints = certificate.extensions.get_extension_for_class(x509.BasicConstraints)
    assert constraints.critical
    assert constraints.value.ca
