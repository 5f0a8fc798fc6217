"""The command index: which commands a channel offers, of which application, in which version."""

from collections.abc import Mapping
from types import MappingProxyType

from msgspec import Struct

from pikarelay.discord.wire import payloads

CHAT_INPUT = 1


class ListedCommand(Struct, frozen=True, kw_only=True):
    """A slash command of the wanted application."""

    name: str
    command_id: str
    version: str
    application_id: str
    #: The application's bot user.
    bot_id: str
    #: Set when the command is registered in that guild only.
    guild_id: str | None = None
    #: Option name to option type.
    options: Mapping[str, int] = MappingProxyType({})


class _Bot(Struct, frozen=True):
    id: str


class _Application(Struct, frozen=True):
    id: str
    name: str = ""
    bot_id: str | None = None
    bot: _Bot | None = None

    @property
    def bot_user(self) -> str | None:
        return self.bot.id if self.bot else self.bot_id


class _Option(Struct, frozen=True):
    name: str
    type: int


class _Command(Struct, frozen=True):
    id: str
    application_id: str
    version: str
    name: str
    type: int = CHAT_INPUT
    guild_id: str | None = None
    options: tuple[_Option, ...] | None = None


class _Index(Struct, frozen=True):
    applications: tuple[_Application, ...] = ()
    application_commands: tuple[_Command, ...] = ()


def read_index(
    payload: bytes, *, application_id: str | None, application_name: str
) -> dict[str, ListedCommand]:
    """
    Return the slash commands of one application, by name. Empty when the application is not there.

    It is the one with `application_id`, or, when that is None, the first called `application_name`, letter case
    ignored. A guild's own command hides a global one of the same name. Raises `WireError`.
    """
    index = payloads.read("command index", payload, _Index)
    application = next(
        (each for each in index.applications if _is_wanted(each, application_id, application_name)), None
    )
    if application is None or application.bot_user is None:
        return {}
    commands = [
        command
        for command in index.application_commands
        if command.application_id == application.id and command.type == CHAT_INPUT
    ]
    commands.sort(key=lambda command: command.guild_id is not None)
    return {command.name: _listed(command, application.bot_user) for command in commands}


def _is_wanted(application: _Application, application_id: str | None, name: str) -> bool:
    if application_id is not None:
        return application.id == application_id
    return application.name.casefold() == name.casefold()


def _listed(command: _Command, bot_id: str) -> ListedCommand:
    return ListedCommand(
        name=command.name,
        command_id=command.id,
        version=command.version,
        application_id=command.application_id,
        bot_id=bot_id,
        guild_id=command.guild_id,
        options={option.name: option.type for option in command.options or ()},
    )
