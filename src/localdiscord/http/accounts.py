"""Routes about who is asking: users, applications, commands, and where the Gateway is."""

from localdiscord.http.call import Call, Reply, Route, ok
from localdiscord.wire import errors
from localdiscord.wire.applications import application_object, command_object
from localdiscord.wire.places import channel_object, guild_object
from localdiscord.wire.users import own_user_object, user_object
from localdiscord.world.drafts import snowflake
from localdiscord.world.models import Application

#: IDENTIFYs of a bot in a day.
DAILY_IDENTIFIES = 1000


def gateway_url(call: Call) -> str:
    return call.world.links.base_url.replace("http", "ws", 1)


async def gateway(call: Call) -> Reply:
    return ok({"url": gateway_url(call)})


async def gateway_bot(call: Call) -> Reply:
    limit = {
        "total": DAILY_IDENTIFIES,
        "remaining": DAILY_IDENTIFIES,
        "reset_after": 86_400_000,
        "max_concurrency": 1,
    }
    return ok({"url": gateway_url(call), "shards": 1, "session_start_limit": limit})


async def own_user(call: Call) -> Reply:
    body = own_user_object(call.user)
    if call.flag("with_analytics_token"):
        body["analytics_token"] = "localdiscord"  # noqa: S105 - it opens nothing
    return ok(body)


async def user(call: Call) -> Reply:
    found = call.world.directory.users.get(call.id("user"))
    if found is None:
        raise errors.unknown_user()
    return ok(user_object(found))


async def open_direct_channel(call: Call) -> Reply:
    body = await call.object()
    wanted = body.get("recipient_id")
    recipients = body.get("recipients")
    if wanted is None and isinstance(recipients, list) and recipients:
        wanted = recipients[0]
    other = call.world.directory.users.get(snowflake(wanted, "recipient_id"))
    if other is None:
        raise errors.unknown_user()
    if other is call.user or (other.bot and call.user.bot):
        raise errors.cannot_message_user()
    channel = call.world.open_direct_channel(call.user, other)
    return ok(channel_object(channel, call.user.id, call.world.directory.users))


async def own_direct_channels(call: Call) -> Reply:
    directory = call.world.directory
    channels = directory.direct_channels_of(call.user.id)
    return ok([channel_object(each, call.user.id, directory.users) for each in channels])


async def guild(call: Call) -> Reply:
    return ok(guild_object(call.world.directory.visible_guild(call.id("guild"), call.user.id)))


async def guild_channels(call: Call) -> Reply:
    directory = call.world.directory
    found = directory.visible_guild(call.id("guild"), call.user.id)
    return ok([channel_object(each, call.user.id, directory.users) for each in directory.channels_of(found)])


def _own_application(call: Call) -> Application:
    application = call.world.directory.application_of(call.user.id)
    if application is None:
        raise errors.unknown_application()
    return application


async def own_application(call: Call) -> Reply:
    application = _own_application(call)
    return ok(application_object(application, user_object(application.bot)))


def _named_application(call: Call) -> tuple[Application, int | None]:
    """Return the application of the path, which must be the caller's, and the guild of the path."""
    application = _own_application(call)
    if application.id != call.id("application"):
        raise errors.missing_access()
    guild_id = call.id("guild") if "guild" in call.request.match_info else None
    if guild_id is not None:
        call.world.directory.visible_guild(guild_id, call.user.id)
    return application, guild_id


async def put_commands(call: Call) -> Reply:
    application, guild_id = _named_application(call)
    specs = await call.json()
    if not isinstance(specs, list) or not all(isinstance(each, dict) for each in specs):
        raise errors.bad_type()
    return ok([command_object(each) for each in call.world.commands.register(application, specs, guild_id)])


async def get_commands(call: Call) -> Reply:
    application, guild_id = _named_application(call)
    return ok([command_object(each) for each in call.world.commands.of(application, guild_id)])


async def guild_index(call: Call) -> Reply:
    found = call.world.directory.visible_guild(call.id("guild"), call.user.id)
    commands = call.world.commands
    return ok(commands.index(commands.applications_in(found.member_ids), found.id))


async def channel_index(call: Call) -> Reply:
    directory, commands = call.world.directory, call.world.commands
    channel = directory.visible_channel(call.id("channel"), call.user.id)
    members = directory.members_of(channel)
    return ok(commands.index(commands.applications_in(members), channel.guild_id))


async def own_index(call: Call) -> Reply:
    """Answer without any application: nobody installs one for themselves in here."""
    return ok(call.world.commands.index([], None))


COMMANDS = "/applications/{application}/commands"
GUILD_COMMANDS = "/applications/{application}/guilds/{guild}/commands"

ROUTES = [
    Route("GET", "/gateway", gateway, auth="nobody"),
    Route("GET", "/gateway/bot", gateway_bot, auth="bot"),
    Route("GET", "/users/@me", own_user),
    Route("GET", "/users/@me/channels", own_direct_channels),
    Route("POST", "/users/@me/channels", open_direct_channel),
    Route("GET", "/users/@me/application-command-index", own_index, auth="user"),
    Route("GET", "/users/{user}", user),
    Route("GET", "/guilds/{guild}", guild),
    Route("GET", "/guilds/{guild}/channels", guild_channels),
    Route("GET", "/guilds/{guild}/application-command-index", guild_index, auth="user"),
    Route("GET", "/channels/{channel}/application-command-index", channel_index, auth="user"),
    Route("GET", "/oauth2/applications/@me", own_application, auth="bot"),
    Route("GET", "/applications/@me", own_application, auth="bot"),
    Route("PUT", COMMANDS, put_commands, auth="bot"),
    Route("GET", COMMANDS, get_commands, auth="bot"),
    Route("PUT", GUILD_COMMANDS, put_commands, auth="bot"),
    Route("GET", GUILD_COMMANDS, get_commands, auth="bot"),
]
