"""What is deployed: adder, display and reset, and what they share."""


def routes() -> set[tuple[str, str]]:
    """List every resource of the services, as (METHOD, path template)."""
    from tally.services.server import declared  # noqa: PLC0415 - importing a part needs not all

    return declared()
