"""
The only outbound calls to callers' servers: stored bytes to a `replyUrl`, private addresses refused.

Floor 3: knows floor 0 and `services.ports`.
"""
