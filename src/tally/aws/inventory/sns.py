"""SNS: the topics that alarms notify."""

from functools import cached_property

from tally.aws.inventory.resources import Resource
from tally.aws.inventory.service import Service


class SNS(Service):
    api = "sns"

    @cached_property
    def topics(self) -> dict[str, Resource]:
        """Notification topics by ARN, with their settings."""
        found = self.all("list_topics", "Topics")
        named = [{"Name": it["TopicArn"].rpartition(":")[2], **it} for it in found]
        return {
            it["TopicArn"]: self.client.get_topic_attributes(TopicArn=it["TopicArn"])["Attributes"]
            for it in self.own(named, "Name")
        }
