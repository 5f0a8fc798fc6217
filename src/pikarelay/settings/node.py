"""What can be set about a node among several."""

from dataclasses import dataclass, field

from pikarelay.settings.values import a_choice, a_switch, about


@dataclass(frozen=True, kw_only=True)
class NodeSettings:
    """What this process does, where several share a database."""

    role: str = field(
        default="all",
        metadata=about(
            a_choice("all", "api", "worker"),
            "What this node does: api answers callers, worker works with Discord and calls back, all does both.",
        ),
    )
    allow_root: bool = field(
        default=False,
        metadata=about(
            a_switch,
            "Whether this node may run as root; otherwise it does not start so, for nothing it does takes that.",
        ),
    )

    @property
    def is_api(self) -> bool:
        return self.role in {"all", "api"}

    @property
    def is_worker(self) -> bool:
        return self.role in {"all", "worker"}
