"""
Discord's dialect without a socket: payloads in, the core's own values out, and the other way round.

Floor 1: pure; knows `errors` and `jobs`. The only place that spells Discord's keys.
"""
