"""
The admin routes, outside `/api`: they move the world, and tell a judge what happened in it. All speak JSON.

    GET    /admin/state                      users with tokens, applications, guilds, channels, sessions, counters
    POST   /admin/users                      {"username"?} -> {"id","username","token","dm_channels":{app name: id}}
    POST   /admin/users/{id}/dm              {"application_id"} (id or name) -> {"channel_id"}
    POST   /admin/users/{id}/revoke          the token is refused from now on; open sessions close with 4004
    POST   /admin/users/{id}/token           -> {"token"}: a new one
    POST   /admin/applications               {"name","distinct_bot_id"?} -> {"id","bot_id","token","public_key",…}
    POST   /admin/applications/{id}/outdate  the commands get new versions
    POST   /admin/guilds                     {"name","members":[ids],"member_count"?} -> {"id","channels":[{"id","name"}]}
    POST   /admin/channels/{id}              {"slow_mode": seconds}
    GET    /admin/violations                 -> {"total","by_kind","details":[last 100]}; DELETE clears
    GET    /admin/ledger?since=&limit=       -> {"entries":[{seq,time,monotonic_ns,event,…}],"last":seq}
    GET    /admin/presses                    -> {nonce: number of presses}
    GET    /admin/faults                     the armed ones; POST {where,match,do,times,skip} -> {"id"};
    DELETE /admin/faults[/{id}]
    POST   /admin/sessions/{id}/{what}       session or user id; what: cut, op7, op9, close, heartbeat;
                                             op9 takes {"resumable"}, close takes {"code"} -> {"sessions": n}
    POST   /admin/clock                      {"advance": seconds} -> {"time"}
    POST   /admin/links/expire               every CDN link given out so far is dead
    GET    /admin/apps/{name}/settings       what the application says of itself; POST {…} -> its configure()

A wrong request is answered with {"message": …} and 400 or 404.
"""

from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from aiohttp import web

from localdiscord.admin import Admin
from localdiscord.faults.model import Close, Cut, InvalidSession, Reconnect
from localdiscord.wire.errors import ApiError
from localdiscord.world.world import World

Json = dict[str, Any]
Handler = Callable[[web.Request, Json], Awaitable[Any]]

encode = msgspec.json.Encoder().encode


class AdminRoutes:
    """Serves the admin routes."""

    def __init__(self, admin: Admin, world: World) -> None:
        self._admin = admin
        self._world = world

    def routes(self) -> list[web.RouteDef]:
        table: list[tuple[str, str, Handler]] = [
            ("GET", "/state", self._state),
            ("POST", "/users", self._create_user),
            ("POST", "/users/{id}/dm", self._open_dm),
            ("POST", "/users/{id}/revoke", self._revoke),
            ("POST", "/users/{id}/token", self._new_token),
            ("POST", "/applications", self._create_application),
            ("POST", "/applications/{id}/outdate", self._outdate),
            ("POST", "/guilds", self._create_guild),
            ("POST", "/channels/{id}", self._change_channel),
            ("GET", "/violations", self._violations),
            ("DELETE", "/violations", self._clear_violations),
            ("GET", "/ledger", self._ledger),
            ("GET", "/presses", self._presses),
            ("GET", "/faults", self._faults),
            ("POST", "/faults", self._arm),
            ("DELETE", "/faults", self._disarm_all),
            ("DELETE", "/faults/{id}", self._disarm),
            ("POST", "/sessions/{id}/{what}", self._disturb),
            ("POST", "/clock", self._advance),
            ("POST", "/links/expire", self._expire_links),
            ("GET", "/apps/{name}/settings", self._settings),
            ("POST", "/apps/{name}/settings", self._configure),
        ]
        return [web.route(method, "/admin" + path, _answering(handler)) for method, path, handler in table]

    async def _state(self, _request: web.Request, _body: Json) -> Any:
        return self._admin.state()

    async def _create_user(self, _request: web.Request, body: Json) -> Any:
        return self._admin.create_user(body.get("username"))

    async def _open_dm(self, request: web.Request, body: Json) -> Any:
        return self._admin.open_dm(request.match_info["id"], str(body["application_id"]))

    async def _revoke(self, request: web.Request, _body: Json) -> Any:
        self._admin.revoke(request.match_info["id"])
        return {}

    async def _new_token(self, request: web.Request, _body: Json) -> Any:
        return self._admin.new_token(request.match_info["id"])

    async def _create_application(self, _request: web.Request, body: Json) -> Any:
        return self._admin.create_application(body["name"], distinct_bot_id=bool(body.get("distinct_bot_id")))

    async def _outdate(self, request: web.Request, _body: Json) -> Any:
        self._admin.outdate_commands(request.match_info["id"])
        return {}

    async def _create_guild(self, _request: web.Request, body: Json) -> Any:
        members = [str(each) for each in body["members"]]
        return self._admin.create_guild(body["name"], members, body.get("member_count"))

    async def _change_channel(self, request: web.Request, body: Json) -> Any:
        self._admin.slow_mode(request.match_info["id"], int(body["slow_mode"]))
        return {}

    async def _violations(self, _request: web.Request, _body: Json) -> Any:
        return self._world.violations.report()

    async def _clear_violations(self, _request: web.Request, _body: Json) -> Any:
        self._world.violations.clear()
        return {}

    async def _ledger(self, request: web.Request, _body: Json) -> Any:
        limit = request.query.get("limit")
        since = int(request.query.get("since", "0"))
        entries = self._world.ledger.since(since, None if limit is None else int(limit))
        return {"entries": entries, "last": len(self._world.ledger)}

    async def _presses(self, _request: web.Request, _body: Json) -> Any:
        return self._world.ledger.presses

    async def _faults(self, _request: web.Request, _body: Json) -> Any:
        return self._world.faults.report()

    async def _arm(self, _request: web.Request, body: Json) -> Any:
        return {"id": self._admin.arm(body)}

    async def _disarm_all(self, _request: web.Request, _body: Json) -> Any:
        self._world.faults.disarm_all()
        return {}

    async def _disarm(self, request: web.Request, _body: Json) -> Any:
        return {"disarmed": self._world.faults.disarm(request.match_info["id"])}

    async def _disturb(self, request: web.Request, body: Json) -> Any:
        what, sessions = request.match_info["what"], self._admin.sessions_of(request.match_info["id"])
        if what == "heartbeat":
            return {"sessions": self._admin.ask_heartbeats(request.match_info["id"])}
        strikes: dict[str, Cut | Close | Reconnect | InvalidSession] = {
            "cut": Cut(),
            "op7": Reconnect(),
            "op9": InvalidSession(bool(body.get("resumable", False))),
            "close": Close(int(body.get("code", 4000))),
        }
        return {"sessions": self._admin.disturb(sessions, strikes[what])}

    async def _advance(self, _request: web.Request, body: Json) -> Any:
        return {"time": self._admin.advance_clock(float(body["advance"]))}

    async def _expire_links(self, _request: web.Request, _body: Json) -> Any:
        self._world.links.expire_all()
        return {}

    async def _settings(self, request: web.Request, _body: Json) -> Any:
        return self._admin.settings(request.match_info["name"])

    async def _configure(self, request: web.Request, body: Json) -> Any:
        return {"configured": self._admin.configure(request.match_info["name"], body)}


def _answering(handler: Handler) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def serve(request: web.Request) -> web.Response:
        raw = await request.read()
        try:
            value = await handler(request, msgspec.json.decode(raw, type=Json) if raw else {})
        except ApiError as error:
            return _written({"message": error.message}, error.status)
        except KeyError as error:
            return _written({"message": f"There is no {error} in the request, or none of that name"}, 400)
        except (TypeError, ValueError) as error:
            return _written({"message": str(error)}, 400)
        return _written(value, 200)

    return serve


def _written(value: Any, status: int) -> web.Response:
    return web.Response(status=status, body=encode(value), headers={"Content-Type": "application/json"})
