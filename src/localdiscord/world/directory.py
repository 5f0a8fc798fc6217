"""Who and what exists: users, applications, guilds and channels, found by id, by token and by each other."""

from localdiscord.clock import Clock
from localdiscord.wire import errors
from localdiscord.world.models import DIRECT_MESSAGE, GUILD_TEXT, Application, Channel, Guild, User
from localdiscord.world.snowflakes import Chance


class Directory:
    """The registers, and the rules of membership."""

    def __init__(self, chance: Chance, clock: Clock) -> None:
        self._chance = chance
        self._clock = clock
        self.users: dict[int, User] = {}
        self.applications: dict[int, Application] = {}
        self.guilds: dict[int, Guild] = {}
        self.channels: dict[int, Channel] = {}
        self._by_token: dict[str, User] = {}
        self._direct: dict[frozenset[int], Channel] = {}
        self._direct_of: dict[int, list[Channel]] = {}
        self._guilds_of: dict[int, list[Guild]] = {}
        self._by_bot: dict[int, Application] = {}

    def add_user(self, username: str, *, bot: bool = False) -> User:
        user_id = self._chance.snowflake()
        user = User(user_id, username, self._chance.token(user_id), bot=bot)
        self.users[user.id] = user
        self._by_token[user.token] = user
        return user

    def renew_token(self, user: User) -> str:
        """Give the user a new token; the old one is refused from now on."""
        user.token = self._chance.token(user.id)
        user.token_valid = True
        self._by_token[user.token] = user
        return user.token

    def user_of(self, token: str) -> User | None:
        """Return whose token it is, or None when it is nobody's, revoked, or replaced."""
        user = self._by_token.get(token)
        return user if user is not None and user.token_valid and user.token == token else None

    def add_application(self, name: str, *, distinct_bot_id: bool = False) -> Application:
        """Add an application with a bot, which shares its id unless told otherwise: both happen on Discord."""
        bot = self.add_user(name, bot=True)
        application = Application(
            id=self._chance.snowflake() if distinct_bot_id else bot.id,
            name=name,
            bot=bot,
            public_key=self._chance.hexadecimal(64),
        )
        self.applications[application.id] = application
        self._by_bot[bot.id] = application
        return application

    def application_of(self, bot_id: int) -> Application | None:
        return self._by_bot.get(bot_id)

    def add_guild(self, name: str, members: list[int], claimed_members: int | None = None) -> Guild:
        """Add a guild with one text channel, owned by its first member."""
        if not members:
            raise errors.required("members")
        if any(member not in self.users for member in members):
            raise errors.unknown_user()
        guild = Guild(
            self._chance.snowflake(),
            name,
            owner_id=members[0],
            created=self._clock.now(),
            claimed_members=claimed_members,
        )
        self.guilds[guild.id] = guild
        for member in dict.fromkeys(members):
            guild.member_ids.append(member)
            self._guilds_of.setdefault(member, []).append(guild)
        self.add_channel(guild, "general")
        return guild

    def add_channel(self, guild: Guild, name: str) -> Channel:
        channel = Channel(
            self._chance.snowflake(), GUILD_TEXT, name, guild_id=guild.id, position=len(guild.channel_ids)
        )
        self.channels[channel.id] = channel
        guild.channel_ids.append(channel.id)
        return channel

    def direct_channel(self, one: int, other: int) -> tuple[Channel, bool]:
        """Return the direct message channel of the two, and whether it had to be made."""
        pair = frozenset((one, other))
        if known := self._direct.get(pair):
            return known, False
        channel = Channel(self._chance.snowflake(), DIRECT_MESSAGE, recipient_ids=(one, other))
        self.channels[channel.id] = channel
        self._direct[pair] = channel
        for user_id in pair:
            self._direct_of.setdefault(user_id, []).append(channel)
        return channel, True

    def direct_channels_of(self, user_id: int) -> list[Channel]:
        return self._direct_of.get(user_id, [])

    def guilds_of(self, user_id: int) -> list[Guild]:
        return self._guilds_of.get(user_id, [])

    def channels_of(self, guild: Guild) -> list[Channel]:
        return [self.channels[each] for each in guild.channel_ids]

    def members_of(self, channel: Channel) -> list[int]:
        """Return the ids of all who can read the channel."""
        if channel.guild_id is None:
            return list(channel.recipient_ids)
        return self.guilds[channel.guild_id].member_ids

    def visible_channel(self, channel_id: int, user_id: int) -> Channel:
        """Return the channel; raise when there is none, or when the user cannot see it."""
        channel = self.channels.get(channel_id)
        if channel is None:
            raise errors.unknown_channel()
        if user_id not in self.members_of(channel):
            raise errors.missing_access()
        return channel

    def visible_guild(self, guild_id: int, user_id: int) -> Guild:
        guild = self.guilds.get(guild_id)
        if guild is None:
            raise errors.unknown_guild()
        if user_id not in guild.member_ids:
            raise errors.missing_access()
        return guild
