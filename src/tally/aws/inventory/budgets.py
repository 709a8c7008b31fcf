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
            {
                **budget,
                "Notifications": [
                    {**it, "Subscribers": self._subscribers(budget["BudgetName"], it)}
                    for it in self.all(
                        "describe_notifications_for_budget",
                        "Notifications",
                        AccountId=self.aws.id,
                        BudgetName=budget["BudgetName"],
                    )
                ],
            }
            for budget in self.own(found, "BudgetName")
        ]

    def _subscribers(self, budget: str, notification: Resource) -> list[Resource]:
        return self.all(
            "describe_subscribers_for_notification",
            "Subscribers",
            AccountId=self.aws.id,
            BudgetName=budget,
            Notification=notification,
        )
