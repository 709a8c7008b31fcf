"""The system under test on a cluster: the same services, reaching its nodes by one URL each."""

from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path

from faults.cluster import Cluster
from faults.leadership import Leadership
from faults.recorder import Recorder
from faults.system import ADDERS, SERVE, System


class ClusterSystem(System):
    """Adders, reset and a display at whoever leads, another display at a standby if there is one.

    Adders reach each node by a proxy of the node's.
    """

    cluster: Cluster
    leadership: Leadership

    def __init__(
        self,
        folder: Path,
        logs: Path,
        recorder: Recorder,
        *,
        serve: Sequence[str] = SERVE,
        alterations: Sequence[str] = (),
    ) -> None:
        """See `System`; `folder` must be one that other users can enter. Raises NoCluster."""
        super().__init__(
            folder, logs, lambda line: None, recorder, serve=serve, alterations=alterations
        )
        self.cluster = Cluster(folder, logs)
        self.leadership = Leadership(self.cluster.nodes, recorder.record)

    @property
    def admin_url(self) -> str:
        return self.cluster.admin_url

    async def whole(self) -> bool:
        await self.cluster.whole()
        return True

    async def _start_database(self, started: AsyncExitStack) -> dict[str, str]:
        cluster = await started.enter_async_context(self.cluster.running())
        await started.enter_async_context(self.leadership.watching())
        ports = [await self._start_proxy(started, node.socket) for node in cluster.nodes]
        return {
            f"adder-{number}": cluster.url("tally_adder", "primary", ports)
            for number in range(1, ADDERS + 1)
        } | {
            "display-1": cluster.url("tally_display", "primary"),
            "display-2": cluster.url("tally_display", "prefer-standby"),
            "reset-1": cluster.url("tally_reset", "primary"),
        }
