"""EventBridge Scheduler: roles that it can't take yet."""

from typing import Any

from moto.iam.models import iam_backends
from moto.scheduler.exceptions import ValidationException
from moto.scheduler.models import EventBridgeSchedulerBackend

from tests.support.emulator.first_use import FirstUse


def refuse_roles_at_first() -> None:
    """moto takes a role at once; AWS not, for seconds: it tries whether it may assume it."""
    create = EventBridgeSchedulerBackend.create_schedule
    uses = FirstUse()

    def create_schedule(self: EventBridgeSchedulerBackend, *args: Any, **given: Any) -> Any:
        role = given["target"]["RoleArn"]
        made = {it.arn for it in iam_backends[self.account_id]["aws"].roles.values()}
        if role in made and uses.of(role):
            raise ValidationException(
                "The execution role you provide must allow AWS EventBridge Scheduler to assume the"
                " role."
            )
        return create(self, *args, **given)

    EventBridgeSchedulerBackend.create_schedule = create_schedule


def patch() -> None:
    refuse_roles_at_first()
