"""
Who hears of what: the rules that pick sessions for an event.

Direct messages always arrive. In a guild of more than 250 members a user's session sees messages only after it
subscribed. Sessions that name intents get what they name; without MESSAGE_CONTENT, foreign messages come empty.
"""

from collections.abc import Iterable, Iterator

import msgspec

from localdiscord.wire.messages import MessageWriter
from localdiscord.wire.places import LARGE_THRESHOLD
from localdiscord.wire.users import member_object
from localdiscord.world.directory import Directory
from localdiscord.world.models import Channel, Json, Message
from localdiscord.world.sessions import Event, Session, Sessions

GUILDS = 1 << 0
GUILD_MESSAGES = 1 << 9
DIRECT_MESSAGES = 1 << 12
MESSAGE_CONTENT = 1 << 15

encode = msgspec.json.Encoder().encode

#: What a session without MESSAGE_CONTENT does not see of others' messages.
HIDDEN: Json = {"content": "", "embeds": [], "attachments": [], "components": []}


class Audience:
    """Announces events about messages and guilds to all who may know."""

    def __init__(self, directory: Directory, sessions: Sessions, writer: MessageWriter) -> None:
        self._directory = directory
        self._sessions = sessions
        self._writer = writer

    def tell(self, session: Session, name: str, payload: Json) -> None:
        """Send one event to one session."""
        self._sessions.emit(session, Event(name, encode(payload)))

    def tell_user(self, user_id: int, name: str, payload: Json) -> None:
        """Send one event to every session of a user, whatever its intents."""
        event = Event(name, encode(payload))
        for session in self._sessions.of(user_id):
            self._sessions.emit(session, event)

    def message(
        self, name: str, message: Message, *, nonce: str | None = None, nonce_session: str | None = None
    ) -> None:
        """
        Announce MESSAGE_CREATE or MESSAGE_UPDATE.

        The nonce goes to the session named, or without a name to all of the author's.
        """
        channel = self._directory.channels[message.channel_id]
        body = self._body(message, channel)
        plain = Event(name, encode(body), message.id)
        hidden: Event | None = None
        for session in self._listeners(message, channel):
            event = plain
            if not _sees_content(session, message, channel):
                hidden = hidden or Event(name, encode(body | HIDDEN), message.id)
                event = hidden
            if nonce is not None and _gets_nonce(session, message, nonce_session):
                event = event._replace(data=_with_nonce(event.data, nonce))
            self._sessions.emit(session, event)

    def deleted(self, message: Message) -> None:
        """Announce MESSAGE_DELETE."""
        channel = self._directory.channels[message.channel_id]
        payload: Json = {"id": str(message.id), "channel_id": str(channel.id)}
        if channel.guild_id is not None and not message.is_ephemeral:
            payload["guild_id"] = str(channel.guild_id)
        event = Event("MESSAGE_DELETE", encode(payload))
        for session in self._listeners(message, channel):
            self._sessions.emit(session, event)

    def _body(self, message: Message, channel: Channel) -> Json:
        body = self._writer.write(message)
        body["channel_type"] = channel.type
        if channel.guild_id is not None and not message.is_ephemeral:
            guild = self._directory.guilds[channel.guild_id]
            author = self._directory.users[message.author_id]
            body["guild_id"] = str(guild.id)
            body["member"] = member_object(author, guild, with_user=False)
        return body

    def _listeners(self, message: Message, channel: Channel) -> Iterator[Session]:
        readers: Iterable[int] = self._directory.members_of(channel)
        if message.is_ephemeral:
            readers = [each for each in (message.visible_to, message.author_id) if each is not None]
        for user_id in readers:
            for session in self._sessions.of(user_id):
                if self._hears(session, channel):
                    yield session

    def _hears(self, session: Session, channel: Channel) -> bool:
        wanted = DIRECT_MESSAGES if channel.guild_id is None else GUILD_MESSAGES
        if session.intents is not None and not session.intents & wanted:
            return False
        if channel.guild_id is None or session.user.bot:
            return True
        large = self._directory.guilds[channel.guild_id].member_count > LARGE_THRESHOLD
        return not large or channel.guild_id in session.subscribed


def _sees_content(session: Session, message: Message, channel: Channel) -> bool:
    if session.intents is None or session.intents & MESSAGE_CONTENT:
        return True
    mine = session.user.id in {message.author_id, *message.mention_ids}
    return mine or (session.user.bot and channel.guild_id is None)


def _gets_nonce(session: Session, message: Message, nonce_session: str | None) -> bool:
    if nonce_session is not None:
        return session.id == nonce_session
    return session.user.id == message.author_id


def _with_nonce(encoded: bytes, nonce: str) -> bytes:
    return encoded[:-1] + b',"nonce":' + encode(nonce) + b"}"
