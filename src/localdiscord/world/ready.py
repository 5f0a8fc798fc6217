"""READY and READY_SUPPLEMENTAL: what a session is told when it begins. Shapes depend on the client's capabilities."""

from base64 import b64encode

from localdiscord.wire.places import guild_create, private_channel, ready_guild
from localdiscord.wire.users import member_object, own_user_object, user_object
from localdiscord.world.directory import Directory
from localdiscord.world.models import Guild, Json
from localdiscord.world.sessions import Session

VERSIONED_READ_STATES = 1 << 2
VERSIONED_USER_GUILD_SETTINGS = 1 << 3
DEDUPE_USER_OBJECTS = 1 << 4
PRIORITIZED_READY_PAYLOAD = 1 << 5
CLIENT_STATE_V2 = 1 << 10


class Greeting:
    """Writes the first events of a session."""

    def __init__(self, directory: Directory) -> None:
        self._directory = directory

    def bot_ready(self, session: Session, *, version: int, resume_url: str, shard: list[int] | None) -> Json:
        """Return a bot's READY; its guilds follow one by one."""
        application = self._directory.application_of(session.user.id)
        body: Json = {
            "v": version,
            "user": own_user_object(session.user),
            "user_settings": {},
            "session_type": "normal",
            "session_id": session.id,
            "resume_gateway_url": resume_url,
            "relationships": [],
            "private_channels": [],
            "presences": [],
            "guilds": [
                {"id": str(guild.id), "unavailable": True}
                for guild in self._directory.guilds_of(session.user.id)
            ],
            "application": {"id": str(application.id if application else session.user.id), "flags": 0},
            "_trace": ["localdiscord"],
        }
        if shard is not None:
            body["shard"] = shard
        return body

    def guild(self, guild: Guild, session: Session) -> Json:
        """Return GUILD_CREATE for this session."""
        return guild_create(
            guild,
            session.user.id,
            self._directory.channels_of(guild),
            self._directory.users,
            own_only=not session.user.bot,
        )

    def user_ready(self, session: Session, capabilities: int, *, version: int, resume_url: str) -> Json:
        """Return a user's READY in the shape its capabilities ask for."""
        user = session.user
        deduped = bool(capabilities & DEDUPE_USER_OBJECTS)
        guilds = self._directory.guilds_of(user.id)
        body: Json = {
            "v": version,
            "user": own_user_object(user),
            "session_id": session.id,
            "session_type": "normal",
            "resume_gateway_url": resume_url,
            "guilds": [self._ready_guild(guild, session, capabilities) for guild in guilds],
            "private_channels": [
                private_channel(each, user.id, self._directory.users, by_id=deduped)
                for each in self._directory.direct_channels_of(user.id)
            ],
            "relationships": [],
            "presences": [],
            "sessions": [_session_entry(session)],
            "read_state": _entries(versioned=bool(capabilities & VERSIONED_READ_STATES)),
            "user_guild_settings": _entries(versioned=bool(capabilities & VERSIONED_USER_GUILD_SETTINGS)),
            "user_settings_proto": b64encode(b"").decode(),
            "connected_accounts": [],
            "notes": {},
            "analytics_token": "localdiscord",
            "auth_session_id_hash": "bG9jYWxkaXNjb3Jk",
            "country_code": "US",
            "geo_ordered_rtc_regions": [],
            "experiments": [],
            "guild_experiments": [],
            "guild_join_requests": [],
            "friend_suggestion_count": 0,
            "tutorial": None,
            "consents": {"personalization": {"consented": False}},
            "api_code_version": 1,
            "_trace": ["localdiscord"],
        }
        if deduped:
            body["users"] = self._known_users(user.id)
            body["merged_members"] = [[self._merged_member(guild, session)] for guild in guilds]
        return body

    def supplemental(self, session: Session) -> Json:
        """Return READY_SUPPLEMENTAL; its lists are in the order of READY's guilds."""
        guilds = self._directory.guilds_of(session.user.id)
        return {
            "guilds": [
                {"id": str(guild.id), "voice_states": [], "activity_instances": []} for guild in guilds
            ],
            "merged_members": [[] for _ in guilds],
            "merged_presences": {"friends": [], "guilds": [[] for _ in guilds]},
            "lazy_private_channels": [],
            "disclose": [],
            "game_invites": [],
        }

    def _ready_guild(self, guild: Guild, session: Session, capabilities: int) -> Json:
        if not capabilities & CLIENT_STATE_V2:
            return self.guild(guild, session)
        channels = self._directory.channels_of(guild)
        return ready_guild(guild, session.user.id, channels, self._directory.users)

    def _known_users(self, user_id: int) -> list[Json]:
        known = {
            each: self._directory.users[each]
            for channel in self._directory.direct_channels_of(user_id)
            for each in channel.recipient_ids
            if each != user_id
        }
        return [user_object(user) for user in known.values()]

    @staticmethod
    def _merged_member(guild: Guild, session: Session) -> Json:
        member = member_object(session.user, guild, with_user=False)
        return {"user_id": str(session.user.id), **member}


def _entries(*, versioned: bool) -> Json | list[Json]:
    return {"entries": [], "partial": False, "version": 1} if versioned else []


def _session_entry(session: Session) -> Json:
    return {
        "session_id": session.id,
        "status": "online",
        "client_info": {"version": 0, "os": "linux", "client": "unknown"},
        "activities": [],
        "hidden_activities": [],
        "active": True,
    }
