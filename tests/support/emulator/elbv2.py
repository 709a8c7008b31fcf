"""Elastic Load Balancing: the scheme of a load balancer, and its protection."""

from typing import Any

from moto.elbv2.exceptions import ELBClientError
from moto.elbv2.models import ELBv2Backend, FakeLoadBalancer


def face_the_internet() -> None:
    """moto leaves the scheme of a load balancer empty where none is asked for."""
    make = FakeLoadBalancer.__init__

    def face(self: FakeLoadBalancer, *args: Any, **given: Any) -> None:
        make(self, *args, **given)
        self.scheme = self.scheme or "internet-facing"

    FakeLoadBalancer.__init__ = face


def keep_what_is_protected() -> None:
    """moto deletes a load balancer that is protected (API reference of DeleteLoadBalancer)."""
    delete = ELBv2Backend.delete_load_balancer

    def refuse(self: ELBv2Backend, arn: str) -> None:
        found = self.load_balancers.get(arn)
        if found and found.attrs.get("deletion_protection.enabled") == "true":
            raise ELBClientError(
                "OperationNotPermitted",
                f"Load balancer '{arn}' cannot be deleted because deletion protection is enabled",
            )
        delete(self, arn)

    ELBv2Backend.delete_load_balancer = refuse


def patch() -> None:
    face_the_internet()
    keep_what_is_protected()
