"""pikarelay: a self-hosted server that speaks the Pika API v1. Each package below says its floor; see docs/architecture.md."""

__version__ = "0.1.0"
