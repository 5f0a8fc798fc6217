"""
The only sockets to Discord: REST calls and Gateway connections, driving `discord.wire`.

Floor 3: knows floor 0, `discord.wire` and `services.ports`.
"""
