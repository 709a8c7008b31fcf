"""What breaks the firewall."""

from typing import Any

from tests.support.mutations.cloud import Cloud
from tests.support.mutations.declaration import breaks

breaks(
    "firewall",
    "firewall-managed-rules",
    "firewall-rate",
    take_the_firewall_from_cloudfront=lambda cloud: cloud.change_distribution(
        lambda config: config.update(WebACLId="")
    ),
)


@breaks("firewall-managed-rules")
def only_count_attacks(cloud: Cloud) -> None:
    def change(rules: list[dict[str, Any]]) -> None:
        for rule in rules:
            if rule["Name"] == "AWSManagedRulesCommonRuleSet":
                rule["OverrideAction"] = {"Count": {}}

    cloud.change_firewall(change)


@breaks("firewall-rate")
def only_count_floods(cloud: Cloud) -> None:
    def change(rules: list[dict[str, Any]]) -> None:
        for rule in rules:
            if "RateBasedStatement" in rule["Statement"]:
                rule["Action"] = {"Count": {}}

    cloud.change_firewall(change)
