"""localdiscord: a Discord for your laptop. REST, Gateway, CDN, fault switches and a video bot, all on loopback."""

__version__ = "0.1.0"
