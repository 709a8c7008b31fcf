"""An account in which nothing stands."""

from tally.aws.inventory.resources import NotFound


class EmptyAccount:
    """Stands in for an inventory where what is looked for comes from elsewhere, or from nowhere."""

    name, id, profile = "tally", "123456789012", "small"

    def __getattr__(self, service):
        raise NotFound(service)
