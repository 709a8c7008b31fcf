"""What goes wrong. A fault gets the world, an adder's number, a length and a seed for details."""

import asyncio
from collections.abc import Callable
from random import Random
from typing import TYPE_CHECKING, Final

from simulation.backend import Backend
from simulation.cluster import STATEMENTS, Disturbance
from simulation.connection import Connection

if TYPE_CHECKING:
    from simulation.world import World

Fault = Callable[["World", int, float, Random], None]


def standby_stalls(world: "World", adder: int, seconds: float, random: Random) -> None:
    """The standby receives nothing for a while."""
    standby = world.cluster.leader.standby
    standby.stall()
    world.later(seconds, lambda: world.cluster.leader.standby is standby and standby.go_on())


def statement_is_disturbed(world: "World", adder: int, seconds: float, random: Random) -> None:
    """Something happens to an adder's next statement of a kind, at some moment of it."""
    world.cluster.disturbances.append(
        Disturbance(
            world.name_of(adder),
            random.choice(STATEMENTS),
            random.choice(("request", "commit", "commit", "answer")),
            _act(random.choice(_ACTS), seconds),
        )
    )


def sessions_are_ended(world: "World", adder: int, seconds: float, random: Random) -> None:
    """pg_terminate_backend or pg_cancel_backend for all sessions of an adder."""
    how = random.choice((Backend.terminate, Backend.cancel))
    for backend in list(world.cluster.leader.backends):
        if backend.user == world.name_of(adder):
            how(backend)


def leader_fails(world: "World", adder: int, seconds: float, random: Random) -> None:
    """The standby becomes the leader; the old one is dead, stopped, or does not know it."""
    old = random.choice(("killed", "stopped", "on"))
    world.cluster.fail_over(random.choice((0.05, seconds)), old=old, demoted_after=seconds)


def leader_restarts(world: "World", adder: int, seconds: float, random: Random) -> None:
    """The leader crashes and recovers what its own log has."""
    world.cluster.restart(seconds / 2)


def leader_stops(world: "World", adder: int, seconds: float, random: Random) -> None:
    """The whole server is stopped for a while."""
    leader = world.cluster.leader
    leader.stopped_until = max(leader.stopped_until, world.now() + seconds)


def backup_is_restored(world: "World", adder: int, seconds: float, random: Random) -> None:
    """The database is replaced by an earlier state of itself."""
    world.cluster.restore(seconds / 4, random.choice((0.0, 0.3, 0.6, 0.9)))


def connections_are_refused(world: "World", adder: int, seconds: float, random: Random) -> None:
    """Nobody new is let in, and whoever is in is thrown out."""
    world.cluster.close_for(seconds)
    for backend in list(world.cluster.leader.backends):
        backend.terminate()


def network_is_cut(world: "World", adder: int, seconds: float, random: Random) -> None:
    """Nothing that an adder and its database send arrives."""
    world.cluster.cut(world.name_of(adder), seconds)


def total_is_held(world: "World", adder: int, seconds: float, random: Random) -> None:
    """Somebody keeps the total's row locked: an owner, who may, or a service, which is ended."""
    user = random.choice(("owner", "tally_reset"))
    world.spawn(world.cluster.hold_total(seconds, user))


def adder_dies(world: "World", adder: int, seconds: float, random: Random) -> None:
    """An adder's process is killed, and starts again."""
    world.spawn(world.kill(adder, seconds / 2))


def adder_restarts(world: "World", adder: int, seconds: float, random: Random) -> None:
    """An adder's process is told to stop, and starts again."""
    world.spawn(world.restart(adder))


def _act(act: "_Act", seconds: float) -> Callable[[Backend, Connection | None], None]:
    return lambda backend, connection: act(backend, connection, seconds)


def _terminate(backend: Backend, connection: Connection | None, seconds: float) -> None:
    asyncio.get_running_loop().call_soon(backend.terminate)


def _cancel(backend: Backend, connection: Connection | None, seconds: float) -> None:
    asyncio.get_running_loop().call_soon(backend.cancel)


def _stop(backend: Backend, connection: Connection | None, seconds: float) -> None:
    backend.stop_for(seconds)


def _reset(backend: Backend, connection: Connection | None, seconds: float) -> None:
    if connection is not None:
        connection.reset()


def _silence(backend: Backend, connection: Connection | None, seconds: float) -> None:
    if connection is not None:
        connection.fall_silent()


_Act = Callable[[Backend, Connection | None, float], None]
_ACTS: Final[tuple[_Act, ...]] = (_terminate, _cancel, _stop, _reset, _silence)
# Several times what tells visible from durable.
FAULTS: Final[tuple[Fault, ...]] = (
    standby_stalls,
    statement_is_disturbed,
    sessions_are_ended,
    standby_stalls,
    statement_is_disturbed,
    standby_stalls,
    leader_fails,
    sessions_are_ended,
    leader_restarts,
    leader_stops,
    backup_is_restored,
    connections_are_refused,
    network_is_cut,
    total_is_held,
    adder_dies,
    adder_restarts,
)
