"""SNS: how many subscribe to a topic."""

from moto.sns.models import Topic


def count_subscriptions() -> None:
    """moto counts no subscriptions of a topic; here whoever is asked confirms at once."""

    def count(topic: Topic) -> int:
        subscriptions = topic.sns_backend.subscriptions.values()
        return sum(subscription.topic.arn == topic.arn for subscription in subscriptions)

    Topic.subscriptions_confimed = property(count, lambda *_: None)


def patch() -> None:
    count_subscriptions()
