"""What AWS's managed firewall rules block, of what a client may do without thinking of it.

Source: AWS WAF's developer guide, "Baseline rule groups", AWSManagedRulesCommonRuleSet.
"""

from collections.abc import Mapping

# Bytes.
LONGEST_PATH, LONGEST_QUERY = 1024, 2048


def blocked_by(target: str, headers: Mapping[str, str]) -> str | None:
    """Give the name of the rule that blocks a request, if one does."""
    path, _, query = target.partition("?")
    if not headers.get("User-Agent"):
        return "NoUserAgent_HEADER"
    if len(path) > LONGEST_PATH:
        return "SizeRestrictions_URIPATH"
    if len(query) > LONGEST_QUERY:
        return "SizeRestrictions_QUERYSTRING"
    return None
