"""What callers ask for, once their words are known to be well formed. Absent and empty are both None here."""

import msgspec

from pikarelay.jobs.job import Upload, Verb
from pikarelay.jobs.secret import Secret


class CommonFields(msgspec.Struct, frozen=True, kw_only=True):
    """The fields that every submitting call takes."""

    discord_token: Secret | None = None
    channel: str | None = None
    max_jobs: int | None = None
    reply_url: str | None = None
    reply_ref: str | None = None


class RequestKey(msgspec.Struct, frozen=True, kw_only=True):
    """A caller's own name for a request, by which its repetition is told from a new one."""

    text: str
    #: SHA-256 of all that the request says, its files included.
    digest: bytes


class ButtonRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Press `button` of the job `job_id`."""

    job_id: str
    button: str
    common: CommonFields


class CommandRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Run one of the bot's commands."""

    verb: Verb
    prompt: str | None = None
    #: Text to hide (encrypt_text).
    message: str | None = None
    #: Image to hide (encrypt_image).
    message_image: Upload | None = None
    font: str | None = None
    image: Upload | None = None
    common: CommonFields


class AccountRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Set up the account of a channel."""

    channel: str
    discord_token: Secret
    max_jobs: int
