"""A task on Fargate, run once inside the network: what the database is reached by."""

import json
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

import boto3

from deploy.ci.patience import patiently
from deploy.ci.refused import Refused

_LOG_MINUTES: Final = 2


@dataclass(frozen=True)
class Task:
    """What practises a restore inside a deployment's network: commands of `tally`."""

    deployment: str
    minutes: float

    def read(self, address: str, *command: str) -> dict[str, Any]:
        """Run a command on the database at an address; return the JSON that it prints."""
        status, said = self._run(address, command)
        print(said)
        found = [line for line in said.splitlines() if line.startswith("{")]
        # An audit that finds something ends with 1, and says what.
        if status not in {0, 1} or not found:
            raise Refused(f"tally {command[0]} on {address} ended with {status}: {said.strip()}")
        return dict(json.loads(found[-1]))

    def _run(self, address: str, command: tuple[str, ...]) -> tuple[int, str]:
        ecs, cluster = boto3.client("ecs"), f"{self.deployment}-containers"
        definition = ecs.describe_task_definition(taskDefinition=f"{self.deployment}-practice")
        [container] = definition["taskDefinition"]["containerDefinitions"]
        [url] = [
            it["value"] for it in container["environment"] if it["name"] == "TALLY_DATABASE_URL"
        ]
        parts = urlsplit(url)
        url = parts._replace(netloc=f"{parts.username}@{address}:{parts.port}").geturl()
        override = {
            "name": container["name"],
            "command": command,
            "environment": [{"name": "TALLY_DATABASE_URL", "value": url}],
        }
        # It reaches what the display does, from where that runs.
        [display] = ecs.describe_services(cluster=cluster, services=[f"{self.deployment}-display"])[
            "services"
        ]
        for _ in patiently(self.minutes, f"The task for tally {command[0]} has not run"):
            answer = ecs.run_task(
                cluster=cluster,
                taskDefinition=definition["taskDefinition"]["taskDefinitionArn"],
                launchType="FARGATE",
                networkConfiguration=display["networkConfiguration"],
                overrides={"containerOverrides": [override]},
            )
            # One that does not start, for want of room or of a role that is usable yet, has no
            # status; another may start.
            for task in answer["tasks"]:
                status = self._await(ecs, cluster, task["taskArn"])
                if status is not None:
                    return status, self._log(container, task["taskArn"])
        raise AssertionError

    def _await(self, ecs: Any, cluster: str, task: str) -> int | None:
        for _ in patiently(self.minutes, "The task has not ended"):
            [found] = ecs.describe_tasks(cluster=cluster, tasks=[task])["tasks"]
            if found["lastStatus"] == "STOPPED":
                print(found.get("stoppedReason", ""))
                status: int | None = found["containers"][0].get("exitCode")
                return status
        raise AssertionError

    def _log(self, container: dict[str, Any], task: str) -> str:
        to = container["logConfiguration"]["options"]
        stream = f"{to['awslogs-stream-prefix']}/{container['name']}/{task.rpartition('/')[2]}"
        logs, where = boto3.client("logs"), {"logGroupName": to["awslogs-group"]}
        # What it wrote last may arrive after its end.
        for _ in patiently(_LOG_MINUTES, "The task has written nothing"):
            with suppress(logs.exceptions.ResourceNotFoundException):
                events = logs.get_log_events(**where, logStreamName=stream, startFromHead=True)
                if found := [event["message"] for event in events["events"]]:
                    return "\n".join(found)
        raise AssertionError
