"""
The `pikarelay` command. A command parses, calls a service, prints.

Results go to stdout, everything else to stderr. Exit status: 0 success, 1 a refusal or a failed check in one line, 2 a
command line that cannot be understood, 78 a root key that cannot be used. A command's module is imported when that command is called, and not before.
"""

from cyclopts import App

from pikarelay import __version__

app = App(name="pikarelay", help="A self-hosted server that speaks the Pika API v1.", version=__version__)
for _place, _help in {
    "serve:serve": "Serve the API until told to stop.",
    "upkeep:check": "Say what is wrong, and what to do about it.",
    "backups:backup": "Make a backup, also of a server at work.",
    "backups:restore": "Put a backup back where there is no database.",
    "backups:settle": "Make a database ready that pg_restore put back.",
    "upkeep:config": "Show the settings in force, secrets masked.",
    "upkeep:move_store": "Copy an embedded store to PostgreSQL.",
    "upkeep:migrate": "Bring the database to the schema of this version.",
    "tenants:tenant": "Add, list, change and remove tenants: those who hold API tokens.",
    "tokens:token": "Add, list and revoke API tokens.",
    "keys:key": "Look at the keys that seal stored secrets, and replace them.",
    "accounts:account": "Set up, list and remove Discord accounts.",
    "jobs:jobs": "Look at jobs.",
    "jobs:orphans": "Look at messages of the bot that were given to no caller, and give them away.",
    "callbacks:callbacks": "Look at callbacks and where they go, and send them again.",
    "mirror:mirror": "Look at copies of results, and have them made again.",
}.items():
    app.command(f"pikarelay.cli.{_place}", help=_help)


def main() -> None:
    """Run the command line."""
    app()
