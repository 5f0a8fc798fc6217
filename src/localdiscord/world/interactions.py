"""
The life of an interaction: pressed, handed to its application, answered within three seconds or failed.

    pending --callback--> acknowledged --(edits and follow-ups for 15 minutes)
       |
       +--3 s--> expired: INTERACTION_FAILURE with reason 2, and a late callback finds it unknown

Events about it go only to the session that pressed. The rules for a bot in another process and for an
application in here are these same methods.
"""

from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

from localdiscord.apps.application import File, JsonObject
from localdiscord.clock import Clock
from localdiscord.limits.violations import Violation, Violations
from localdiscord.wire import errors
from localdiscord.world.audience import Audience
from localdiscord.world.directory import Directory
from localdiscord.world.ledger import Ledger
from localdiscord.world.messages import DEFAULT, NO_FILES, REPLY, Messages
from localdiscord.world.models import COMMAND, COMPONENT, EPHEMERAL, LOADING, Interaction, Json, Message, User
from localdiscord.world.presses import Press, PressRules
from localdiscord.world.rules import Rules
from localdiscord.world.sessions import Later, Sessions, Timer
from localdiscord.world.snowflakes import Chance

#: Callback types.
MESSAGE = 4
DEFERRED_MESSAGE = 5
DEFERRED_UPDATE = 6
UPDATE_MESSAGE = 7
AUTOCOMPLETE = 8
MODAL = 9

#: Reason codes of INTERACTION_FAILURE.
REASON_TIMEOUT = 2

#: Message types.
CHAT_INPUT_COMMAND = 20


class Interactions:
    """All interactions whose tokens may still serve."""

    def __init__(
        self,
        *,
        directory: Directory,
        sessions: Sessions,
        messages: Messages,
        audience: Audience,
        press_rules: PressRules,
        violations: Violations,
        ledger: Ledger,
        chance: Chance,
        clock: Clock,
        rules: Rules,
        later: Later,
        hand_over: Callable[[Interaction], None],
    ) -> None:
        self._directory = directory
        self._sessions = sessions
        self._messages = messages
        self._audience = audience
        self._press_rules = press_rules
        self._violations = violations
        self._ledger = ledger
        self._chance = chance
        self._clock = clock
        self._rules = rules
        self._later = later
        self._hand_over = hand_over
        self._by_id: dict[int, Interaction] = {}
        self._by_token: dict[str, Interaction] = {}
        self._deadlines: dict[int, Timer] = {}
        self._nonces: dict[tuple[int, str], float] = {}
        self._aging: deque[Interaction] = deque()

    # --- pressing ---------------------------------------------------------------------------------------

    def press(self, user: User, body: JsonObject, files: Mapping[int, File] = NO_FILES) -> Interaction | None:
        """
        Accept a press, as POST /interactions does; None when its nonce was used before, and nothing happens.

        Discord says nonces serve de-duplication; the repeated press is answered as if it had been taken.
        """
        press = self._press_rules.read(user, body)
        if self._is_repeated(press):
            return None
        accepted = self._press_rules.judge(press, files, self._by_id)
        interaction = Interaction(
            id=self._chance.snowflake(),
            type=press.type,
            token=self._chance.text(64),
            application_id=press.application.id,
            channel_id=press.channel.id,
            guild_id=press.channel.guild_id,
            user_id=user.id,
            session_id=press.session_id,
            nonce=press.nonce,
            created=self._clock.now(),
            data=accepted.data,
            attachments=dict(accepted.attachments or {}),
            message=accepted.message,
        )
        self._accept(interaction)
        return interaction

    def _is_repeated(self, press: Press) -> bool:
        if press.nonce is None:
            return False
        used = self._nonces.get((press.user.id, press.nonce))
        if used is None or used < self._clock.now() - self._rules.nonce_memory:
            return False
        self._ledger.presses[press.nonce] += 1
        self._violations.count(Violation.NONCE_REPEATED, nonce=press.nonce, user_id=str(press.user.id))
        return True

    def _accept(self, interaction: Interaction) -> None:
        self._forget_old()
        self._by_id[interaction.id] = interaction
        self._by_token[interaction.token] = interaction
        self._aging.append(interaction)
        if interaction.nonce is not None:
            self._nonces[interaction.user_id, interaction.nonce] = interaction.created
            self._ledger.presses[interaction.nonce] += 1
        pressed = interaction.message
        self._ledger.note(
            "interaction_accepted",
            interaction_id=str(interaction.id),
            type=interaction.type,
            nonce=interaction.nonce,
            user_id=str(interaction.user_id),
            channel_id=str(interaction.channel_id),
            application_id=str(interaction.application_id),
            message_id=None if pressed is None else str(pressed.id),
            custom_id=interaction.data.get("custom_id"),
            command=interaction.data.get("name"),
            options={each["name"]: each.get("value") for each in interaction.data.get("options") or ()},
        )
        self._tell("INTERACTION_CREATE", interaction)
        self._deadlines[interaction.id] = self._later(
            self._rules.callback_deadline, lambda: self._expire(interaction)
        )
        self._hand_over(interaction)

    def _forget_old(self) -> None:
        """Forget interactions and nonces long past use; both are in the order of their making."""
        oldest = self._clock.now() - 2 * self._rules.token_lifetime
        while self._aging and self._aging[0].created < oldest:
            old = self._aging.popleft()
            del self._by_id[old.id], self._by_token[old.token]
            if old.nonce is not None:
                self._nonces.pop((old.user_id, old.nonce), None)

    def _expire(self, interaction: Interaction) -> None:
        del self._deadlines[interaction.id]
        interaction.state = "expired"
        self._ledger.note("interaction_failed", interaction_id=str(interaction.id), reason=REASON_TIMEOUT)
        self._tell("INTERACTION_FAILURE", interaction, reason_code=REASON_TIMEOUT)

    def _tell(self, event: str, interaction: Interaction, **more: Any) -> None:
        session = self._sessions.get(interaction.session_id)
        if session is not None:
            payload: Json = {"id": str(interaction.id), "nonce": interaction.nonce, **more}
            self._audience.tell(session, event, payload)

    # --- answering --------------------------------------------------------------------------------------

    def callback(
        self, interaction_id: int, token: str, body: JsonObject, files: Mapping[int, File] = NO_FILES
    ) -> tuple[Interaction, Message | None]:
        """Answer an interaction, and return it with the message the answer made or changed, if any."""
        interaction = self._by_id.get(interaction_id)
        if interaction is None or interaction.token != token or interaction.state == "expired":
            raise errors.unknown_interaction()
        if interaction.state == "acknowledged":
            raise errors.already_acknowledged()
        data = body.get("data") or {}
        if not isinstance(data, dict):
            raise errors.bad_type("data")
        kind = self._checked_kind(interaction, body.get("type"))
        acted = self._act(interaction, kind, data, files)
        return interaction, acted

    @staticmethod
    def _checked_kind(interaction: Interaction, kind: Any) -> int:
        if kind is None:
            raise errors.required("type")
        allowed = {MESSAGE, DEFERRED_MESSAGE, MODAL}
        if interaction.message is not None:
            allowed |= {DEFERRED_UPDATE, UPDATE_MESSAGE}
        if interaction.type not in {COMMAND, COMPONENT}:
            allowed -= {MODAL}
        if not isinstance(kind, int) or kind not in allowed:
            raise errors.choices("type")
        return kind

    def _act(
        self, interaction: Interaction, kind: int, data: JsonObject, files: Mapping[int, File]
    ) -> Message | None:
        if kind in {MESSAGE, DEFERRED_MESSAGE}:
            return self._answer_with_message(interaction, kind, data, files)
        pressed = interaction.message
        if kind == MODAL:
            self._open_modal(interaction, data)
            return None
        self._acknowledge(interaction, kind)
        if pressed is None:
            return None
        interaction.original_id = pressed.id
        return self._messages.edit(pressed, data, files) if kind == UPDATE_MESSAGE else None

    def _answer_with_message(
        self, interaction: Interaction, kind: int, data: JsonObject, files: Mapping[int, File]
    ) -> Message:
        pressed = interaction.message
        type_ = CHAT_INPUT_COMMAND if interaction.type == COMMAND else DEFAULT if pressed is None else REPLY
        message = self._messages.respond(
            interaction,
            data,
            files,
            type_=type_,
            reference_id=None if pressed is None else pressed.id,
            loading=kind == DEFERRED_MESSAGE,
        )
        interaction.original_id = message.id
        self._acknowledge(interaction, kind)
        return message

    def _open_modal(self, interaction: Interaction, data: JsonObject) -> None:
        for field in ("custom_id", "title", "components"):
            if not data.get(field):
                raise errors.required("data", field)
        interaction.modal = dict(data)
        self._acknowledge(interaction, MODAL)
        application = self._directory.applications[interaction.application_id]
        self._tell(
            "INTERACTION_MODAL_CREATE",
            interaction,
            channel_id=str(interaction.channel_id),
            custom_id=data["custom_id"],
            title=data["title"],
            components=data["components"],
            application={"id": str(application.id), "name": application.name, "icon": None},
        )

    def _acknowledge(self, interaction: Interaction, kind: int) -> None:
        self._deadlines.pop(interaction.id).cancel()
        interaction.state = "acknowledged"
        interaction.callback_type = kind
        self._ledger.note(
            "callback",
            interaction_id=str(interaction.id),
            type=kind,
            message_id=None if interaction.original_id is None else str(interaction.original_id),
        )
        self._tell("INTERACTION_SUCCESS", interaction)

    # --- webhooks: what comes after the answer ------------------------------------------------------------

    def of_token(self, application_id: int, token: str) -> Interaction:
        """Return the interaction whose token opens this webhook, or raise."""
        interaction = self._by_token.get(token)
        if interaction is None or interaction.application_id != application_id:
            raise errors.unknown_webhook()
        if interaction.created < self._clock.now() - self._rules.token_lifetime:
            raise errors.invalid_webhook_token()
        if interaction.state != "acknowledged":
            raise errors.unknown_webhook()
        return interaction

    def original(self, interaction: Interaction) -> Message:
        """Return the message `@original` means."""
        found = None
        if interaction.original_id is not None:
            found = self._messages.find(interaction.channel_id, interaction.original_id)
        if found is None:
            raise errors.unknown_message()
        return found

    def message_of(self, interaction: Interaction, message_id: int) -> Message:
        """Return a message this webhook made."""
        if message_id == interaction.original_id:
            return self.original(interaction)
        message = self._messages.find(interaction.channel_id, message_id)
        if message is None or message.interaction is not interaction:
            raise errors.unknown_message()
        return message

    def follow_up(
        self, interaction: Interaction, body: JsonObject, files: Mapping[int, File] = NO_FILES
    ) -> Message:
        """Post a follow-up. While the response is still LOADING, the first one takes its place."""
        original = None
        if interaction.original_id is not None:
            original = self._messages.find(interaction.channel_id, interaction.original_id)
        if original is not None and original.flags & LOADING:
            return self._messages.edit(
                original, {**body, "flags": int(body.get("flags") or 0) & ~EPHEMERAL}, files
            )
        responded = original is not None and original.interaction is interaction
        return self._messages.respond(
            interaction,
            body,
            files,
            type_=REPLY if responded else DEFAULT,
            reference_id=original.id if original is not None and responded else None,
            original_response_id=interaction.original_id,
        )

    def get(self, interaction_id: int) -> Interaction | None:
        return self._by_id.get(interaction_id)
