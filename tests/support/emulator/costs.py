"""Cost Explorer: which tags count costs.

AWS knows a tag's key up to a day after a resource first has it (Cost Management's guide,
"Activating user-defined cost allocation tags"); here the day is over at once.
"""

import json
from itertools import chain

from moto.ce.responses import CostExplorerResponse
from moto.ec2.models import ec2_backends


def activate_cost_allocation_tags() -> None:
    """moto has none."""

    def update_cost_allocation_tags_status(self: CostExplorerResponse) -> str:
        asked = json.loads(self.body)["CostAllocationTagsStatus"]
        backend = ec2_backends[self.current_account]["us-east-1"]
        known = set(chain.from_iterable(backend.tags.values()))
        errors = [
            {"TagKey": tag["TagKey"], "Code": "NotFound", "Message": "Tag keys not found"}
            for tag in asked
            if tag["TagKey"] not in known
        ]
        return json.dumps({"Errors": errors})

    CostExplorerResponse.update_cost_allocation_tags_status = update_cost_allocation_tags_status


def patch() -> None:
    activate_cost_allocation_tags()
