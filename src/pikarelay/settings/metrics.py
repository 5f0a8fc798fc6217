"""Where metrics are shown."""

from dataclasses import dataclass, field

from pikarelay.settings.values import a_port, a_text, about


@dataclass(frozen=True, kw_only=True)
class MetricsSettings:
    """Where Prometheus finds the metrics: away from the API, for they are nobody's but the operator's."""

    host: str = field(
        default="127.0.0.1",
        metadata=about(a_text, "The address that /metrics listens on; it asks for no token."),
    )
    port: int | None = field(
        default=None,
        metadata=about(
            a_port, "The port that /metrics listens on, 0 for any free one; by default there is no such page."
        ),
    )
