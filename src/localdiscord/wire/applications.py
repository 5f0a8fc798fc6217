"""Application and command objects, and the command index a user reads."""

from collections.abc import Sequence

from localdiscord.wire.users import user_object
from localdiscord.world.models import Application, Command, Json


def command_object(command: Command) -> Json:
    """Return the command as registration answers it and the index lists it."""
    body: Json = {
        "type": 1,
        "description": "",
        "name_localizations": None,
        "description_localizations": None,
        "default_member_permissions": None,
        "dm_permission": True,
        "contexts": None,
        "integration_types": [0],
        "nsfw": False,
        "options": [],
        **command.spec,
        "id": str(command.id),
        "application_id": str(command.application_id),
        "version": str(command.version),
    }
    if command.guild_id is not None:
        body["guild_id"] = str(command.guild_id)
    return body


def application_object(application: Application, owner: Json) -> Json:
    """Return the application as it reads itself at /oauth2/applications/@me."""
    return {
        "id": str(application.id),
        "name": application.name,
        "icon": None,
        "description": "",
        "summary": "",
        "type": None,
        "bot": user_object(application.bot),
        "bot_public": True,
        "bot_require_code_grant": False,
        "verify_key": application.public_key,
        "owner": owner,
        "team": None,
        "flags": 0,
        "hook": True,
        "rpc_origins": [],
        "tags": [],
        "approximate_guild_count": 0,
        "approximate_user_install_count": 0,
        "interactions_endpoint_url": None,
        "role_connections_verification_url": None,
        "integration_types_config": {"0": {}},
    }


def command_index(applications: Sequence[Application], commands: Sequence[Command]) -> Json:
    """Return the answer of the three application-command-index routes."""
    return {
        "applications": [
            {
                "id": str(each.id),
                "name": each.name,
                "description": "",
                "icon": None,
                "flags": 0,
                "bot_id": str(each.bot.id),
                "bot": user_object(each.bot),
            }
            for each in applications
        ],
        "application_commands": [command_object(each) for each in commands],
        "version": str(max((each.index_version for each in applications), default=0)),
    }
