"""Application commands: registration, the index users read, and the judgement of what a user sends."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from localdiscord.wire import errors
from localdiscord.wire.applications import command_index
from localdiscord.world.directory import Directory
from localdiscord.world.drafts import snowflake
from localdiscord.world.models import Application, Channel, Command, Json
from localdiscord.world.snowflakes import Chance

#: Option types.
SUB_COMMAND = 1
GROUP = 2
STRING = 3
INTEGER = 4
BOOLEAN = 5
NUMBER = 10
ATTACHMENT = 11


class Commands:
    """All commands of all applications."""

    def __init__(self, directory: Directory, chance: Chance) -> None:
        self._directory = directory
        self._chance = chance

    def register(
        self, application: Application, specs: Sequence[Mapping[str, Any]], guild_id: int | None = None
    ) -> list[Command]:
        """
        Replace all commands of that scope, as PUT does.

        A command that is registered again under its name keeps its id, and keeps its version unless it changed.
        """
        before = {command.spec["name"]: command for command in self.of(application, guild_id)}
        for command in before.values():
            del application.commands[command.id]
        commands = [self._registered(application, dict(spec), guild_id, before) for spec in specs]
        application.commands |= {command.id: command for command in commands}
        application.index_version = self._chance.snowflake()
        return commands

    def _registered(
        self, application: Application, spec: Json, guild_id: int | None, before: Mapping[str, Command]
    ) -> Command:
        name = spec.get("name")
        if not isinstance(name, str) or not name:
            raise errors.required("name")
        for ours in ("id", "version", "application_id", "guild_id"):
            spec.pop(ours, None)
        spec = {key: value for key, value in spec.items() if value is not None}
        spec["options"] = [_option(option) for option in spec.get("options", ())]
        known = before.get(name)
        if known is not None and known.spec == spec:
            return known
        command_id = known.id if known is not None else self._chance.snowflake()
        return Command(command_id, application.id, self._chance.snowflake(), guild_id, spec)

    def outdate(self, application: Application) -> None:
        """Give every command a new version, as if its owner had changed it."""
        for command in application.commands.values():
            command.version = self._chance.snowflake()
        application.index_version = self._chance.snowflake()

    @staticmethod
    def of(application: Application, guild_id: int | None) -> list[Command]:
        return [each for each in application.commands.values() if each.guild_id == guild_id]

    def index(self, application_ids: Sequence[int], guild_id: int | None) -> Json:
        """Return the index of these applications: global commands, and the guild's own."""
        applications = [self._directory.applications[each] for each in application_ids]
        commands = [
            command
            for application in applications
            for command in application.commands.values()
            if command.guild_id in {None, guild_id}
        ]
        return command_index(applications, commands)

    def applications_in(self, members: Sequence[int]) -> list[int]:
        """Return the ids of the applications whose bots are among the members."""
        found = (self._directory.application_of(member) for member in members)
        return [application.id for application in found if application is not None]

    def invoked(self, application: Application, data: Mapping[str, Any], channel: Channel) -> Command:
        """Return the command a user names by id, version and name, or raise what Discord answers."""
        command = application.commands.get(snowflake(data.get("id"), "data", "id"))
        if command is None or command.guild_id not in {None, channel.guild_id}:
            raise errors.unknown_command()
        if str(data.get("version")) != str(command.version):
            raise errors.outdated_command()
        if data.get("name") != command.spec["name"]:
            raise errors.invalid_command()
        return command


def _option(option: Mapping[str, Any]) -> Json:
    return {"description": "", **{key: value for key, value in option.items() if value is not None}}


def flattened(options: Sequence[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    """Yield the options with values; sub-commands and their groups only hold more."""
    for option in options:
        if option.get("type") in {SUB_COMMAND, GROUP}:
            yield from flattened(option.get("options") or ())
        else:
            yield option


def check_options(spec: Sequence[Mapping[str, Any]], given: Any) -> list[Json]:
    """
    Return the given options when they fit the command's, or raise `INTERACTION_APPLICATION_COMMAND_INVALID`.

    Attachment options hold the number of an attachment here; what the application reads is filled in later.
    """
    if given is None:
        given = []
    if not isinstance(given, list) or not all(isinstance(each, dict) for each in given):
        raise errors.bad_type("data", "options")
    known = {option["name"]: option for option in spec}
    for option in given:
        expected = known.get(option.get("name"))
        if expected is None or option.get("type") != expected["type"]:
            raise errors.invalid_command(f"Unknown option {option.get('name')}")
        if expected["type"] in {SUB_COMMAND, GROUP}:
            check_options(expected.get("options") or (), option.get("options"))
        else:
            _check_value(expected, option.get("value"))
    names = {option["name"] for option in given}
    for option in spec:
        if option.get("required") and option["name"] not in names:
            raise errors.invalid_command(f"Option {option['name']} is required")
    return given


def _check_value(expected: Mapping[str, Any], value: Any) -> None:
    fits = {
        STRING: isinstance(value, str),
        INTEGER: isinstance(value, int) and not isinstance(value, bool),
        BOOLEAN: isinstance(value, bool),
        NUMBER: isinstance(value, int | float) and not isinstance(value, bool),
    }.get(expected["type"], isinstance(value, str | int))
    if not fits:
        raise errors.invalid_command(f"Option {expected['name']} has a value of the wrong type")
    if expected["type"] == STRING and len(value) > expected.get("max_length", 6000):
        raise errors.invalid_command(f"Option {expected['name']} is too long")
    options = expected.get("choices")
    if options and value not in {choice["value"] for choice in options}:
        raise errors.invalid_command(f"Option {expected['name']} is not one of its choices")
