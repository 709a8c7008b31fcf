"""Budgets: who is told, and tags."""

import json

from moto.budgets.models import Budget, Notification
from moto.budgets.responses import BudgetsResponse


def add_budget_subscribers() -> None:
    """moto has no subscribers of a budget's notifications, and no tags of budgets."""
    tags: dict[str, list[dict[str, str]]] = {}
    create = BudgetsResponse.create_budget

    def create_budget(self: BudgetsResponse) -> str:
        answer = create(self)
        name = self._get_param("Budget")["BudgetName"]
        arn = f"arn:aws:budgets::{self._get_param('AccountId')}:budget/{name}"
        tags[arn] = self._get_param("ResourceTags") or []
        return answer

    def wanted(self: BudgetsResponse) -> tuple[Budget, list[Notification]]:
        budget = self.backend.budgets[self._get_param("AccountId")][self._get_param("BudgetName")]
        asked = self._get_param("Notification")
        return budget, [
            notification
            for notification in budget.notifications
            if notification.details["NotificationType"] == asked["NotificationType"]
            and notification.details["Threshold"] == asked["Threshold"]
        ]

    def describe_subscribers_for_notification(self: BudgetsResponse) -> str:
        _, found = wanted(self)
        return json.dumps({"Subscribers": [it for each in found for it in each.subscribers]})

    def update_subscriber(self: BudgetsResponse) -> str:
        old, new = self._get_param("OldSubscriber"), self._get_param("NewSubscriber")
        for notification in wanted(self)[1]:
            notification.subscribers = [new if it == old else it for it in notification.subscribers]
        return "{}"

    def delete_subscriber(self: BudgetsResponse) -> str:
        budget, found = wanted(self)
        gone = self._get_param("Subscriber")
        for notification in found:
            notification.subscribers = [it for it in notification.subscribers if it != gone]
            if not notification.subscribers:
                # AWS ends a notification with its last subscriber.
                budget.delete_notification(notification.details)
        return "{}"

    def list_tags_for_resource(self: BudgetsResponse) -> str:
        return json.dumps({"ResourceTags": tags.get(self._get_param("ResourceARN"), [])})

    BudgetsResponse.create_budget = create_budget
    BudgetsResponse.describe_subscribers_for_notification = describe_subscribers_for_notification
    BudgetsResponse.update_subscriber = update_subscriber
    BudgetsResponse.delete_subscriber = delete_subscriber
    BudgetsResponse.list_tags_for_resource = list_tags_for_resource


def patch() -> None:
    add_budget_subscribers()
