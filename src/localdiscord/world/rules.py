"""The numbers Discord lives by. Defaults are Discord's own, as of 2026-08; tests shorten the times."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """
    Times in seconds, sizes in bytes.

    Parameters
    ----------
    heartbeat_interval
        What hello asks for.
    heartbeat_grace
        A heartbeat may be late by half an interval and this much more.
    identify_interval
        One IDENTIFY of a user in this time.
    resume_window
        How long a session without a connection can be resumed.
    replay_limit
        Events a session remembers for a resume.
    sessions_per_user
        How many sessions a user may have at once.
    callback_deadline
        The time an application has for its callback.
    token_lifetime
        How long an interaction's token serves.
    nonce_memory
        How long a nonce is remembered.
    file_limit
        Largest file.
    link_lifetime
        How long a CDN link works.
    frame_limit
        Largest Gateway frame a client may send.
    frames_per_minute
        Gateway frames a client may send in a minute.
    requests_per_second
        REST requests of one caller in a second.
    invalid_request_limit
        Answers of 401, 403 and 429 in ten minutes that lead to a ban.
    bot_buckets
        Whether bots have the per-route buckets.
    """

    heartbeat_interval: float = 41.25
    heartbeat_grace: float = 1.0
    identify_interval: float = 5.0
    resume_window: float = 180.0
    replay_limit: int = 500
    sessions_per_user: int = 50
    callback_deadline: float = 3.0
    token_lifetime: float = 900.0
    nonce_memory: float = 300.0
    file_limit: int = 10 * 1024 * 1024
    link_lifetime: int = 86_400
    frame_limit: int = 15 * 1024
    frames_per_minute: int = 120
    requests_per_second: int = 50
    invalid_request_limit: int = 10_000
    bot_buckets: bool = True
