"""A zone is lost at once: its links are cut, what ran there is gone, its database is another's.

So does AWS's own scenario (FIS's user guide, "AZ Availability: Power Interruption"), but for
launches in the zone, which nothing here asks for, and for its end.
"""

from rehearsal.standing import Standing


def lose(stands: Standing, zone: str) -> None:
    """Cut a zone off, and let the database's standby take over if the first was in it."""
    for host in stands.network.hosts:
        if host.zone == zone:
            stands.network.cut(host)
    lost = [name for host, name in stands.serving.items() if host.zone == zone]
    stands.containers.engine.podman("kill", *lost)
    for node, proxy in stands.balancer.nodes.items():
        if node.zone == zone:
            proxy.close()
    stands.database.lose(zone)
