"""CloudWatch: alarms that ring for a bad release. The others ask here."""

from collections.abc import Iterable

from moto.cloudwatch.models import cloudwatch_backends
from moto.core.responses import BaseResponse


def ringing_alarms(asked: BaseResponse, names: Iterable[str]) -> list[str]:
    """Those of some alarms that are in ALARM, in the account and region of a request."""
    alarms = cloudwatch_backends[asked.current_account][asked.region].alarms
    return [name for name in names if name in alarms and alarms[name].state_value == "ALARM"]


def ring(asked: BaseResponse, names: Iterable[str]) -> None:
    """Put alarms into ALARM, as the errors of a bad release do."""
    cloudwatch = cloudwatch_backends[asked.current_account][asked.region]
    for name in names:
        cloudwatch.set_alarm_state(name, "a bad release", "{}", "ALARM")
