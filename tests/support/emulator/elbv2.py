"""Elastic Load Balancing: the scheme of a load balancer."""

from typing import Any

from moto.elbv2.models import FakeLoadBalancer


def face_the_internet() -> None:
    """moto leaves the scheme of a load balancer empty where none is asked for."""
    make = FakeLoadBalancer.__init__

    def face(self: FakeLoadBalancer, *args: Any, **given: Any) -> None:
        make(self, *args, **given)
        self.scheme = self.scheme or "internet-facing"

    FakeLoadBalancer.__init__ = face


def patch() -> None:
    face_the_internet()
