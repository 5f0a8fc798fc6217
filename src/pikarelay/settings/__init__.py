"""
What an operator can set, what each setting is for, and where settings come from.

A flag wins over an environment variable, that over the file, that over the default. Each source holds only what was
set in it, so that setting something to its default is a choice too. Every setting is declared once, below, with its
default, its reader and the sentence that `--help`, the documentation and `config.default.toml` show.

Loading is pure: the environment and the file's text come in as arguments. Everything wrong is told at once, each in
a sentence that names the place.
"""

import difflib
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from datetime import timedelta
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

from pikarelay.jobs.backoff import SCHEDULE
from pikarelay.jobs.secret import Secret
from pikarelay.settings.metrics import MetricsSettings
from pikarelay.settings.mirror import MirrorSettings, contradictions_of_mirror
from pikarelay.settings.node import NodeSettings
from pikarelay.settings.values import (
    DatabaseAddress,
    Network,
    Read,
    a_choice,
    a_database,
    a_list,
    a_nameserver,
    a_network,
    a_number,
    a_path,
    a_port,
    a_secret,
    a_snowflake,
    a_switch,
    a_text,
    a_url,
    a_whole,
    about,
)

PREFIX = "PIKARELAY_"
#: Variables of ours that are no settings: where the file is, and what `pikarelay account set` reads.
OTHER_VARIABLES = frozenset({"PIKARELAY_CONFIG", "PIKARELAY_DISCORD_TOKEN"})

_DAY = 24 * 60 * 60


class SettingsError(Exception):
    """The settings cannot be used. The message has one line for each thing that is wrong."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = tuple(problems)


@dataclass(frozen=True, kw_only=True)
class HttpSettings:
    """Where the API listens."""

    host: str = field(default="127.0.0.1", metadata=about(a_text, "The address the API listens on."))
    port: int = field(
        default=8080, metadata=about(a_port, "The port the API listens on; 0 takes any free one.")
    )
    max_connections: int = field(
        default=10_000,
        metadata=about(
            a_whole(1, 1_000_000), "How many connections may be open at once; the next ones get 503."
        ),
    )
    unauthorized_per_minute: int = field(
        default=20,
        metadata=about(
            a_whole(0, 1_000_000),
            "How many requests without a valid API token one address may send a minute; the next ones get 429, 0 stands for any number.",
        ),
    )


@dataclass(frozen=True, kw_only=True)
class StoreSettings:
    """Where everything is kept that must outlive the process."""

    data_folder: Path = field(
        default=Path("pikarelay-data"),
        metadata=about(a_path, "The folder for the database, uploaded files and the root key."),
    )
    database: Path | DatabaseAddress | None = field(
        default=None,
        metadata=about(
            a_database,
            "The database: a SQLite file's path, by default in the data folder, or postgresql://user:password@host/name.",
        ),
    )
    database_file: Path | None = field(
        default=None,
        metadata=about(
            a_path, "A file that holds the database's address, for that may have a password in it."
        ),
    )
    database_connections: int = field(
        default=10,
        metadata=about(a_whole(2, 1000), "How many connections to PostgreSQL each node holds at most."),
    )
    root_key: Secret | None = field(
        default=None,
        metadata=about(
            a_secret, "The key that stored Discord tokens are encrypted with, as 64 hexadecimal digits."
        ),
    )
    root_key_file: Path | None = field(
        default=None,
        metadata=about(a_path, "A file that holds the root key; by default one is made in the data folder."),
    )
    keep_jobs_days: float = field(
        default=31.0,
        metadata=about(a_number(1, 36500), "How many days after its last change a finished job is kept."),
    )
    uploads_quota_mib: float = field(
        default=1024.0,
        metadata=about(
            a_number(1, 1024 * 1024),
            "How much room all uploaded files may take, in MiB; beyond it uploads get 503.",
        ),
    )

    least_free_mib: float = field(
        default=64.0,
        metadata=about(
            a_number(0, 1024 * 1024),
            "How much room the data folder's disk must have for the server to be ready, in MiB.",
        ),
    )

    @property
    def least_free(self) -> int:
        """In bytes."""
        return int(self.least_free_mib * 1024 * 1024)

    @property
    def database_path(self) -> Path:
        """The SQLite file, where that is the database."""
        return self.database if isinstance(self.database, Path) else self.data_folder / "pikarelay.sqlite3"

    @property
    def uploads_quota(self) -> int:
        """In bytes."""
        return int(self.uploads_quota_mib * 1024 * 1024)

    @property
    def keep_jobs(self) -> timedelta:
        return timedelta(days=self.keep_jobs_days)


@dataclass(frozen=True, kw_only=True)
class DiscordSettings:
    """Which Discord, which bot, and how patiently."""

    api_url: str = field(
        default="https://discord.com/api/v9",
        metadata=about(a_url("https", "http"), "The base of Discord's HTTP API."),
    )
    gateway_url: str | None = field(
        default=None,
        metadata=about(a_url("wss", "ws"), "Discord's Gateway; by default Discord is asked where it is."),
    )
    application_id: str | None = field(
        default=None,
        metadata=about(
            a_snowflake, "The id of the bot's application; by default it is looked up by its name."
        ),
    )
    application_name: str = field(
        default="Pika", metadata=about(a_text, "The name of the bot's application.")
    )
    press_interval_seconds: float = field(
        default=1.5,
        metadata=about(a_number(0, 3600), "The least time between two presses of one account, in seconds."),
    )
    answer_wait_seconds: float = field(
        default=10.0,
        metadata=about(a_number(0, 300), "How long a request waits for the bot's first message, in seconds."),
    )
    session_wait_seconds: float = field(
        default=120.0,
        metadata=about(
            a_number(0, _DAY),
            "How long a press waits for its account's connection to Discord when that is lost, in seconds.",
        ),
    )
    first_message_seconds: float = field(
        default=120.0,
        metadata=about(
            a_number(1, _DAY), "How long after its press a job may stay without any message, in seconds."
        ),
    )
    job_seconds: float = field(
        default=1800.0,
        metadata=about(
            a_number(1, 7 * _DAY), "How long after its press a job may stay unfinished, in seconds."
        ),
    )

    @property
    def is_discord_itself(self) -> bool:
        """Whether the API is the real Discord's, not a local one's."""
        return urlsplit(self.api_url).hostname in {"discord.com", "canary.discord.com", "ptb.discord.com"}

    @property
    def press_interval(self) -> timedelta:
        return timedelta(seconds=self.press_interval_seconds)

    @property
    def answer_wait(self) -> timedelta:
        return timedelta(seconds=self.answer_wait_seconds)

    @property
    def session_wait(self) -> timedelta:
        return timedelta(seconds=self.session_wait_seconds)

    @property
    def first_message_within(self) -> timedelta:
        return timedelta(seconds=self.first_message_seconds)

    @property
    def job_within(self) -> timedelta:
        return timedelta(seconds=self.job_seconds)


@dataclass(frozen=True, kw_only=True)
class CallbackSettings:
    """How callers are called back, and where."""

    allow_networks: tuple[Network, ...] = field(
        default=(),
        metadata=about(
            a_list(a_network), "Private networks that callbacks may go to; all others are closed to them."
        ),
    )
    nat64: bool = field(
        default=False, metadata=about(a_switch, "Whether this network reaches IPv4 by NAT64 only.")
    )
    nameservers: tuple[str, ...] = field(
        default=(),
        metadata=about(
            a_list(a_nameserver),
            "Name servers that know receivers' names; none stands for those of the system.",
        ),
    )
    schedule_seconds: tuple[float, ...] = field(
        default=tuple(step.total_seconds() for step in SCHEDULE),
        metadata=about(
            a_list(a_number(0, 7 * _DAY)),
            "The wait before each try in seconds, the first try included; one entry means one try.",
        ),
    )
    connect_seconds: float = field(
        default=5.0,
        metadata=about(
            a_number(0.1, 300), "How long a connection to a receiver may take to be made, in seconds."
        ),
    )
    total_seconds: float = field(
        default=60.0,
        metadata=about(a_number(1, 3600), "How long one try may take from beginning to end, in seconds."),
    )

    @property
    def schedule(self) -> tuple[timedelta, ...]:
        return tuple(timedelta(seconds=seconds) for seconds in self.schedule_seconds)


@dataclass(frozen=True, kw_only=True)
class LogSettings:
    """What is logged, and how."""

    level: str = field(
        default="info",
        metadata=about(
            a_choice("debug", "info", "warning", "error"), "The least serious lines that are logged."
        ),
    )
    format: str = field(
        default="text",
        metadata=about(a_choice("text", "json"), "Whether log lines are for people or for programs."),
    )


@dataclass(frozen=True, kw_only=True)
class Settings:
    """All settings, checked."""

    node: NodeSettings = field(default_factory=NodeSettings)
    http: HttpSettings = field(default_factory=HttpSettings)
    metrics: MetricsSettings = field(default_factory=MetricsSettings)
    store: StoreSettings = field(default_factory=StoreSettings)
    discord: DiscordSettings = field(default_factory=DiscordSettings)
    callbacks: CallbackSettings = field(default_factory=CallbackSettings)
    mirror: MirrorSettings = field(default_factory=MirrorSettings)
    log: LogSettings = field(default_factory=LogSettings)

    @classmethod
    def load(
        cls,
        environ: Mapping[str, str],
        file: str | Mapping[str, Any] = "",
        flags: Mapping[str, Any] | None = None,
    ) -> Self:
        """
        Put the sources together. `file` is TOML, or what it parses to; `flags` go by dotted name (`http.port`).

        An empty environment variable, and a flag of None, count as not set. Raises `SettingsError`.
        """
        problems: list[str] = []
        given = {
            **_from_file(file, problems),
            **_from_environ(environ, problems),
            **_from_flags(flags or {}, problems),
        }
        values: dict[str, dict[str, Any]] = {}
        for declared in DECLARED:
            if declared.name not in given:
                continue
            place, value = given[declared.name]
            try:
                values.setdefault(declared.section, {})[declared.key] = declared.read(value)
            except (TypeError, ValueError) as error:
                problems.append(f"{place} {error}")
        if problems:
            raise SettingsError(problems)
        loaded = cls(**{section: SECTIONS[section](**found) for section, found in values.items()})
        if contradictions := list(_contradictions(loaded)):
            raise SettingsError(contradictions)
        return loaded


SECTIONS: dict[str, Callable[..., Any]] = {
    "node": NodeSettings,
    "http": HttpSettings,
    "metrics": MetricsSettings,
    "store": StoreSettings,
    "discord": DiscordSettings,
    "callbacks": CallbackSettings,
    "mirror": MirrorSettings,
    "log": LogSettings,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Declared:
    """A setting as `--help` and the documentation show it."""

    section: str
    key: str
    default: Any
    description: str
    read: Read

    @property
    def name(self) -> str:
        return f"{self.section}.{self.key}"

    @property
    def variable(self) -> str:
        """Its environment variable. The store's have no section in their name: `PIKARELAY_DATABASE`."""
        section = "" if self.section == "store" else f"{self.section}_"
        return f"{PREFIX}{section}{self.key}".upper()

    @property
    def is_secret(self) -> bool:
        return self.read in {a_secret, a_database}


DECLARED: tuple[Declared, ...] = tuple(
    Declared(section=section, key=found.name, default=found.default, **found.metadata)
    for section, kind in SECTIONS.items()
    for found in fields(kind)  # type: ignore[arg-type]  # the factories are dataclasses
)
_NAMES = {declared.name for declared in DECLARED}
_VARIABLES = {declared.variable: declared.name for declared in DECLARED}

#: What a source sets: by the setting's name, the place to name in a sentence, and the value.
_Given = dict[str, tuple[str, Any]]


def _from_file(file: str | Mapping[str, Any], problems: list[str]) -> _Given:
    try:
        sections = tomllib.loads(file) if isinstance(file, str) else file
    except tomllib.TOMLDecodeError as error:
        problems.append(f"the configuration file is not TOML: {error}")
        return {}
    given: _Given = {}
    for section, found in sections.items():
        if section not in SECTIONS or not isinstance(found, Mapping):
            problems.append(
                f"the configuration file has no place for {section}{_suggestion(section, SECTIONS)}"
            )
            continue
        for key, value in found.items():
            name = f"{section}.{key}"
            if name in _NAMES:
                given[name] = (f"{name} in the configuration file", value)
            else:
                problems.append(f"{name} in the configuration file is no setting{_suggestion(name, _NAMES)}")
    return given


def _from_environ(environ: Mapping[str, str], problems: list[str]) -> _Given:
    given: _Given = {}
    for variable, value in environ.items():
        if not variable.startswith(PREFIX) or variable in OTHER_VARIABLES or not value:
            continue
        if variable in _VARIABLES:
            given[_VARIABLES[variable]] = (variable, value)
        else:
            problems.append(f"{variable} is no setting{_suggestion(variable, _VARIABLES)}")
    return given


def _from_flags(flags: Mapping[str, Any], problems: list[str]) -> _Given:
    given: _Given = {}
    for name, value in flags.items():
        if name not in _NAMES:
            problems.append(f"{name} is no setting{_suggestion(name, _NAMES)}")
        elif value is not None:
            given[name] = (f"--{name.replace('.', '-').replace('_', '-')}", value)
    return given


def _suggestion(wrong: str, known: Mapping[str, Any] | set[str]) -> str:
    near = difflib.get_close_matches(wrong, list(known), n=1)
    return f"; did you mean {near[0]}?" if near else ""


def _contradictions(settings: Settings) -> Iterator[str]:
    """Yield a sentence for each pair of settings that cannot both be meant."""
    store, discord, callbacks = settings.store, settings.discord, settings.callbacks
    if store.root_key is not None and store.root_key_file is not None:
        yield "store.root_key and store.root_key_file are both set: keep the one that holds the key"
    if store.database is not None and store.database_file is not None:
        yield "store.database and store.database_file are both set: keep the one that holds the address"
    for first, shorter, second, longer in (
        ("answer_wait", discord.answer_wait, "first_message", discord.first_message_within),
        ("first_message", discord.first_message_within, "job", discord.job_within),
    ):
        if shorter > longer:
            yield _would_end(f"discord.{first}_seconds", shorter, f"discord.{second}_seconds", longer)
    if callbacks.connect_seconds > callbacks.total_seconds:
        connect, total = (timedelta(seconds=s) for s in (callbacks.connect_seconds, callbacks.total_seconds))
        yield _would_end("callbacks.connect_seconds", connect, "callbacks.total_seconds", total)
    if not callbacks.schedule_seconds:
        yield "callbacks.schedule_seconds is empty, so no callback would ever be sent: give one entry for each try"
    is_plain = discord.gateway_url is not None and discord.gateway_url.startswith("ws:")
    if is_plain and discord.api_url.startswith("https:"):
        yield "discord.gateway_url is not encrypted while discord.api_url is: tokens would leave in the clear"
    yield from contradictions_of_mirror(settings.mirror)


def _would_end(first: str, shorter: timedelta, second: str, longer: timedelta) -> str:
    one, other = shorter.total_seconds(), longer.total_seconds()
    return f"{first} ({one:g}) is longer than {second} ({other:g}), which would end it first"
