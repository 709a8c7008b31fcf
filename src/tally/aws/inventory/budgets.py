"""Budgets, their notifications and subscribers."""

from functools import cached_property

from tally.aws.inventory.resources import Resource
from tally.aws.inventory.service import Service


class Budgets(Service):
    api = "budgets"

    @cached_property
    def budgets(self) -> list[Resource]:
        """Budgets, each with its notifications, and these with whom they tell."""
        found = self.all("describe_budgets", "Budgets", AccountId=self.aws.id)
        return [
            {**it, "Notifications": self._notifications(it["BudgetName"])}
            for it in self.own(found, "BudgetName")
        ]

    def _notifications(self, budget: str) -> list[Resource]:
        of = {"AccountId": self.aws.id, "BudgetName": budget}
        told = "describe_subscribers_for_notification"
        found = self.all("describe_notifications_for_budget", "Notifications", **of)
        return [
            {**it, "Subscribers": self.all(told, "Subscribers", **of, Notification=it)}
            for it in found
        ]
