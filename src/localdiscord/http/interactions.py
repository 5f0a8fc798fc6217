"""Routes about interactions: the press of a user, and the answers of a bot."""

from localdiscord.http.call import Call, Reply, Route, no_content, ok
from localdiscord.wire.interactions import callback_response
from localdiscord.world.drafts import snowflake
from localdiscord.world.models import Channel, Interaction, Message


async def press(call: Call) -> Reply:
    """Accept an interaction. 204 says that it was handed on, and nothing about the bot's answer."""
    body, files = await call.form()
    channel = _channel(call, body.get("channel_id"))
    if channel is not None:
        call.world.check_slow_mode(call.user, channel)
    accepted = call.world.interactions.press(call.user, body, files)
    if channel is not None and accepted is not None:
        call.world.note_spoken(call.user, channel)
    return no_content()


def _channel(call: Call, given: object) -> Channel | None:
    return call.world.directory.channels.get(int(str(given))) if str(given).isdigit() else None


async def callback(call: Call) -> Reply:
    body, files = await call.form()
    interaction, message = call.world.interactions.callback(
        call.id("interaction"), call.path("token"), body, files
    )
    if not call.flag("with_response"):
        return no_content()
    shown = None if message is None else call.world.writer.write(message)
    return ok(callback_response(interaction, shown))


def _interaction(call: Call) -> Interaction:
    return call.world.interactions.of_token(call.id("application"), call.path("token"))


def _message(call: Call, interaction: Interaction) -> Message:
    named = call.path("message")
    if named == "@original":
        return call.world.interactions.original(interaction)
    return call.world.interactions.message_of(interaction, snowflake(named, "message"))


async def follow_up(call: Call) -> Reply:
    interaction = _interaction(call)
    body, files = await call.form()
    return ok(call.world.writer.write(call.world.interactions.follow_up(interaction, body, files)))


async def webhook_message(call: Call) -> Reply:
    return ok(call.world.writer.write(_message(call, _interaction(call))))


async def edit_webhook_message(call: Call) -> Reply:
    found = _message(call, _interaction(call))
    body, files = await call.form()
    return ok(call.world.writer.write(call.world.messages.edit(found, body, files)))


async def delete_webhook_message(call: Call) -> Reply:
    call.world.messages.delete(_message(call, _interaction(call)))
    return no_content()


WEBHOOK = "/webhooks/{application}/{token}"
WEBHOOK_MESSAGE = WEBHOOK + "/messages/{message}"

ROUTES = [
    Route("POST", "/interactions", press, auth="user"),
    Route("POST", "/interactions/{interaction}/{token}/callback", callback, auth="nobody", is_global=False),
    Route("POST", WEBHOOK, follow_up, auth="nobody", is_global=False),
    Route("GET", WEBHOOK_MESSAGE, webhook_message, auth="nobody", is_global=False),
    Route("PATCH", WEBHOOK_MESSAGE, edit_webhook_message, auth="nobody", is_global=False),
    Route("DELETE", WEBHOOK_MESSAGE, delete_webhook_message, auth="nobody", is_global=False),
]
