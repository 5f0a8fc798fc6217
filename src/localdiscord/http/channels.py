"""Routes about channels: their messages, and files on the way to them."""

from localdiscord.http.call import Call, Reply, Route, no_content, ok
from localdiscord.wire import errors
from localdiscord.wire.places import channel_object
from localdiscord.world.drafts import snowflake
from localdiscord.world.models import Channel, Message

HISTORY_LIMIT = 100
HISTORY_DEFAULT = 50
URLS_AT_ONCE = 50


def _channel(call: Call) -> Channel:
    return call.world.directory.visible_channel(call.id("channel"), call.user.id)


def _message(call: Call) -> Message:
    """Return the message of the path as its author finds it: an ephemeral one is not found here."""
    return call.world.messages.shown(_channel(call).id, call.id("message"))


async def channel(call: Call) -> Reply:
    return ok(channel_object(_channel(call), call.user.id, call.world.directory.users))


async def history(call: Call) -> Reply:
    """Answer newest first, whatever the cursor."""
    past = call.world.messages.history(_channel(call).id)
    query = call.request.query
    limit = _limit(query.get("limit"))
    if "around" in query:
        found = past.around(snowflake(query["around"], "around"), limit)
    elif "before" in query:
        found = past.before(snowflake(query["before"], "before"), limit)
    elif "after" in query:
        found = past.after(snowflake(query["after"], "after"), limit)
    else:
        found = past.latest(limit)
    return ok([call.world.writer.write(each) for each in found])


def _limit(given: str | None) -> int:
    if given is None:
        return HISTORY_DEFAULT
    if not given.isdigit() or not 1 <= int(given) <= HISTORY_LIMIT:
        raise errors.InvalidForm(
            ("limit",), "NUMBER_TYPE_MAX", f"int value should be between 1 and {HISTORY_LIMIT}."
        )
    return int(given)


async def message(call: Call) -> Reply:
    return ok(call.world.writer.write(_message(call)))


async def post_message(call: Call) -> Reply:
    where = _channel(call)
    body, files = await call.form()
    call.world.check_slow_mode(call.user, where)
    posted = call.world.messages.post(call.user, where, body, files)
    call.world.note_spoken(call.user, where)
    answer = call.world.writer.write(posted)
    if body.get("nonce") is not None:
        answer["nonce"] = body["nonce"]
    return ok(answer)


async def edit_message(call: Call) -> Reply:
    found = _message(call)
    if found.author_id != call.user.id:
        raise errors.not_the_author()
    body, files = await call.form()
    return ok(call.world.writer.write(call.world.messages.edit(found, body, files)))


async def delete_message(call: Call) -> Reply:
    found = _message(call)
    if found.author_id != call.user.id:
        raise errors.missing_permissions()
    call.world.messages.delete(found)
    return no_content()


async def acknowledge(call: Call) -> Reply:
    _channel(call)
    return ok({"token": None})


async def typing(call: Call) -> Reply:
    _channel(call)
    return no_content()


async def announce_files(call: Call) -> Reply:
    where = _channel(call)
    body = await call.object()
    return ok({"attachments": call.world.uploads.announce(call.user.id, where.id, body.get("files"))})


async def delete_upload(call: Call) -> Reply:
    call.world.uploads.delete(call.path("upload"), call.user.id)
    return no_content()


async def refresh_urls(call: Call) -> Reply:
    urls = (await call.object()).get("attachment_urls")
    if not isinstance(urls, list) or not urls or not all(isinstance(each, str) for each in urls):
        raise errors.required("attachment_urls")
    if len(urls) > URLS_AT_ONCE:
        raise errors.too_long(URLS_AT_ONCE, "attachment_urls")
    refreshed = [{"original": url, "refreshed": call.world.links.refreshed(url)} for url in urls]
    return ok({"refreshed_urls": refreshed})


MESSAGES = "/channels/{channel}/messages"
MESSAGE = "/channels/{channel}/messages/{message}"

ROUTES = [
    Route("GET", "/channels/{channel}", channel),
    Route("GET", MESSAGES, history),
    Route("POST", MESSAGES, post_message),
    Route("GET", MESSAGE, message, auth="bot"),
    Route("PATCH", MESSAGE, edit_message),
    Route("DELETE", MESSAGE, delete_message),
    Route("POST", "/channels/{channel}/messages/{message}/ack", acknowledge, auth="user"),
    Route("POST", "/channels/{channel}/typing", typing),
    Route("POST", "/channels/{channel}/attachments", announce_files),
    Route("POST", "/attachments/refresh-urls", refresh_urls),
    Route("DELETE", "/attachments/{upload:.+}", delete_upload),
]
