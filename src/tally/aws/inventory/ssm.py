"""Systems Manager: documents."""

import json
from typing import cast

from botocore.exceptions import ClientError

from tally.aws.inventory.resources import NotFound, Resource
from tally.aws.inventory.service import Service


class SSM(Service):
    api = "ssm"

    def document(self, name: str) -> Resource:
        """What a document of Systems Manager says, in the version that is in force."""
        try:
            answer = self.client.get_document(Name=name, DocumentFormat="JSON")
        except ClientError as error:
            if error.response["Error"]["Code"] == "InvalidDocument":
                raise NotFound(f"document {name} of Systems Manager") from error
            raise
        return cast("Resource", json.loads(answer["Content"]))
