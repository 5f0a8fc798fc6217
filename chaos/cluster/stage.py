"""The callers' and the killer's side of a cluster: who is asked, and what is written down of the strikes."""

import random

from chaos.clients import Clients
from chaos.cluster.nodes import Cluster, Node
from chaos.stage import Stage

#: Channels that are tried for lost places in the end.
_PROBED = 24


class ManyDoors(Clients):
    """Callers who ask one of the API nodes, as a proxy before them would send them."""

    cluster: Cluster

    @property
    def base_url(self) -> str:
        doors = [node.url for node in self.cluster.apis if node.is_up]
        return random.choice(doors) if doors else self.cluster.apis[0].url

    @base_url.setter
    def base_url(self, _url: str) -> None:
        """Keep none: each request has its own."""


class ClusterStage(Stage):
    """A stage whose server is a cluster."""

    cluster: Cluster

    async def strike_begins(self, what: str, node: str = "", *, unknown: int = 0) -> int:
        """
        Note from when on a node may be kept from writing down what it did, and return when, in nanoseconds.

        `unknown` presses may be on their way then.
        """
        entry = await self.ledgers.killer.noted("stopped", what=what, node=node, pid=0, unknown=unknown)
        return int(entry["at"])

    async def strike_ends(self) -> None:
        await self.ledgers.killer.noted("continued", pid=0)

    async def kill_node(self, node: Node) -> int:
        """SIGKILL a node, and return when, in nanoseconds."""
        assert node.server is not None
        pid = await node.server.pid
        node.is_up = False
        entry = await self.ledgers.killer.noted("killed", pid=pid, node=node.name)
        await node.server.kill()
        await self.ledgers.killer.noted("died", pid=pid)
        return int(entry["at"])

    async def start_node(self, node: Node) -> None:
        pid = await self.cluster.start(node)
        await self.ledgers.killer.noted("started", pid=pid, node=node.name)

    async def _probe(self) -> None:
        every = self.seats
        self.seats = every[:: max(1, len(every) // _PROBED)]
        try:
            await super()._probe()
        finally:
            self.seats = every

    async def close(self) -> None:
        await self.cluster.close()
