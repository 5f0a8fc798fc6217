"""Discord: its dialect in `wire` (pure), its sockets in `client`."""
