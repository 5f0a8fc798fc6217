"""Messages: how they are written, edited, deleted and read, and who is told."""

from collections.abc import Mapping

from localdiscord.apps.application import File, JsonObject
from localdiscord.clock import Clock
from localdiscord.wire import errors
from localdiscord.world.audience import Audience
from localdiscord.world.directory import Directory
from localdiscord.world.drafts import Draft, mentioned, read
from localdiscord.world.files import Files
from localdiscord.world.history import History
from localdiscord.world.ledger import Ledger
from localdiscord.world.models import (
    COMPONENTS_V2,
    EPHEMERAL,
    LOADING,
    Attachment,
    Channel,
    Interaction,
    Message,
    User,
)
from localdiscord.world.snowflakes import Chance

NO_FILES: Mapping[int, File] = {}
#: Message types.
DEFAULT = 0
REPLY = 19


class Messages:
    """All messages, by channel."""

    def __init__(
        self,
        *,
        directory: Directory,
        files: Files,
        chance: Chance,
        clock: Clock,
        ledger: Ledger,
        nonce_memory: float,
    ) -> None:
        self._directory = directory
        self._files = files
        self._chance = chance
        self._clock = clock
        self._ledger = ledger
        self._nonce_memory = nonce_memory
        self._histories: dict[int, History] = {}
        #: Messages by author and nonce, for `enforce_nonce`.
        self._by_nonce: dict[tuple[int, str], Message] = {}
        #: Set by the world once it is whole: the audience needs a writer, which needs to find messages here.
        self.audience: Audience

    def history(self, channel_id: int) -> History:
        return self._histories.setdefault(channel_id, History())

    def find(self, channel_id: int, message_id: int) -> Message | None:
        return self.history(channel_id).get(message_id)

    def shown(self, channel_id: int, message_id: int) -> Message:
        """Return a message of the channel's history, or raise."""
        message = self.history(channel_id).shown(message_id)
        if message is None:
            raise errors.unknown_message()
        return message

    def post(
        self, author: User, channel: Channel, data: JsonObject, files: Mapping[int, File] = NO_FILES
    ) -> Message:
        """Write a plain message, as POST /channels/{channel}/messages does."""
        draft = read(data)
        if draft.enforce_nonce and (known := self._repeated(author, draft.nonce)):
            return known
        reference_id = self._checked_reference(channel, draft)
        message = self._written(author, channel, draft, files, ephemeral=False)
        message.flags &= ~EPHEMERAL
        message.reference_id = reference_id
        message.type = DEFAULT if reference_id is None else REPLY
        self._publish(message, channel, nonce=draft.nonce)
        if draft.nonce is not None:
            self._forget_nonces()
            self._by_nonce[author.id, draft.nonce] = message
        return message

    def _forget_nonces(self) -> None:
        """Forget nonces past their time: they are in the order of their making."""
        oldest = self._clock.now() - self._nonce_memory
        while self._by_nonce and (known := next(iter(self._by_nonce))):
            if self._by_nonce[known].created >= oldest:
                return
            del self._by_nonce[known]

    def _repeated(self, author: User, nonce: str | None) -> Message | None:
        known = self._by_nonce.get((author.id, nonce or ""))
        if known is None or known.created < self._clock.now() - self._nonce_memory:
            return None
        return known

    def _checked_reference(self, channel: Channel, draft: Draft) -> int | None:
        if draft.reference_id is None or self.history(channel.id).shown(draft.reference_id):
            return draft.reference_id
        if draft.reference_must_exist:
            raise errors.InvalidForm(("message_reference",), "REPLIES_UNKNOWN_MESSAGE", "Unknown message")
        return None

    def respond(
        self,
        interaction: Interaction,
        data: JsonObject,
        files: Mapping[int, File] = NO_FILES,
        *,
        type_: int,
        reference_id: int | None,
        loading: bool = False,
        original_response_id: int | None = None,
    ) -> Message:
        """
        Write the response to an interaction, or a follow-up.

        Only the first response carries the nonce, and only to the session that pressed.
        """
        bot = self._directory.applications[interaction.application_id].bot
        channel = self._directory.channels[interaction.channel_id]
        draft = read(data)
        ephemeral = bool((draft.flags or 0) & EPHEMERAL)
        if loading:
            draft = Draft(content="", flags=(draft.flags or 0) & EPHEMERAL)
        message = self._written(bot, channel, draft, files, ephemeral=ephemeral, may_be_empty=loading)
        message.type = type_
        message.reference_id = reference_id
        message.interaction = interaction
        message.original_response_id = original_response_id
        if loading:
            message.flags |= LOADING
        if ephemeral:
            message.visible_to = interaction.user_id
        first = original_response_id is None
        self._publish(
            message,
            channel,
            nonce=interaction.nonce if first else None,
            nonce_session=interaction.session_id if first else None,
        )
        return message

    def _written(
        self,
        author: User,
        channel: Channel,
        draft: Draft,
        files: Mapping[int, File],
        *,
        ephemeral: bool,
        may_be_empty: bool = False,
    ) -> Message:
        found = self._files.collect(draft.attachments, files, author.id)
        if not (draft.content or draft.embeds or draft.components or found or may_be_empty):
            raise errors.empty_message()
        application = self._directory.application_of(author.id)
        owner_id = application.id if ephemeral and application else channel.id
        message = Message(
            id=self._chance.snowflake(),
            channel_id=channel.id,
            guild_id=channel.guild_id,
            author_id=author.id,
            created=self._clock.now(),
            content=draft.content or "",
            flags=draft.flags or 0,
            tts=draft.tts,
            embeds=draft.embeds or [],
            components=draft.components or [],
        )
        message.attachments = [
            self._files.store(file, owner_id, ephemeral=ephemeral, description=entry.get("description"))
            for entry, file in found
        ]
        self._mention(message, draft)
        return message

    def _mention(self, message: Message, draft: Draft) -> None:
        message.mention_ids = [
            each
            for each in mentioned(message.content)
            if each in self._directory.users and (draft.pinged is None or each in draft.pinged)
        ]
        message.mention_everyone = draft.pinged is None and "@everyone" in message.content

    def _publish(
        self, message: Message, channel: Channel, *, nonce: str | None, nonce_session: str | None = None
    ) -> None:
        self.history(channel.id).add(message)
        if not message.is_ephemeral:
            channel.last_message_id = message.id
        self._note("message_created", message)
        self.audience.message("MESSAGE_CREATE", message, nonce=nonce, nonce_session=nonce_session)

    def edit(self, message: Message, data: JsonObject, files: Mapping[int, File] = NO_FILES) -> Message:
        """Change what the request names, and announce it; a LOADING message becomes a real one."""
        draft = read(data, was_version_2=bool(message.flags & COMPONENTS_V2))
        found = self._files.collect(draft.attachments, files, message.author_id)
        kept = self._kept(message, draft)
        owner_id = kept[0].owner_id if kept else self._owner_of(message)
        new = [
            self._files.store(
                file, owner_id, ephemeral=message.is_ephemeral, description=entry.get("description")
            )
            for entry, file in found
        ]
        for attachment in message.attachments:
            if attachment not in kept:
                self._files.forget(attachment)
        message.attachments = kept + new
        if draft.content is not None:
            message.content = draft.content
            self._mention(message, draft)
        if draft.embeds is not None:
            message.embeds = draft.embeds
        if draft.components is not None:
            message.components = draft.components
        if draft.flags is not None:
            message.flags |= draft.flags & ~EPHEMERAL
        message.flags &= ~LOADING
        message.edited = self._clock.now()
        self._note("message_edited", message)
        self.audience.message("MESSAGE_UPDATE", message)
        return message

    def _owner_of(self, message: Message) -> int:
        application = self._directory.application_of(message.author_id)
        return application.id if message.is_ephemeral and application else message.channel_id

    @staticmethod
    def _kept(message: Message, draft: Draft) -> list[Attachment]:
        if draft.attachments is None:
            return list(message.attachments)
        named = {str(entry.get("id")) for entry in draft.attachments}
        return [each for each in message.attachments if str(each.id) in named]

    def delete(self, message: Message) -> None:
        self.history(message.channel_id).remove(message.id)
        for attachment in message.attachments:
            self._files.forget(attachment)
        self._note("message_deleted", message)
        self.audience.deleted(message)

    def _note(self, event: str, message: Message) -> None:
        interaction = message.interaction
        self._ledger.note(
            event,
            message_id=str(message.id),
            channel_id=str(message.channel_id),
            author_id=str(message.author_id),
            interaction_id=None if interaction is None else str(interaction.id),
            attachment_ids=[str(each.id) for each in message.attachments],
            ephemeral=message.is_ephemeral,
        )
