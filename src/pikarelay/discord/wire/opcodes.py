"""Gateway opcodes: what a frame is about. From Discord's documentation, as of 2026-08."""

from enum import IntEnum


class Opcode(IntEnum):
    """The ones this server sends or understands; any other is ignored."""

    #: Received. The only frames with a sequence number and a name.
    DISPATCH = 0
    #: Both ways: the server may ask for one out of turn.
    HEARTBEAT = 1
    #: Sent, to begin a session.
    IDENTIFY = 2
    #: Sent, to go on with a session on a new connection.
    RESUME = 6
    #: Received. The server wants us on another connection; the session lives on.
    RECONNECT = 7
    #: Received. The session is refused; `d` says whether it can still be resumed.
    INVALID_SESSION = 9
    #: Received, first on every connection: the heartbeat interval.
    HELLO = 10
    #: Received. Its absence between two heartbeats means the connection is dead.
    HEARTBEAT_ACK = 11
    #: Sent by user accounts: without it, messages of large guilds do not arrive.
    GUILD_SUBSCRIPTIONS = 37
