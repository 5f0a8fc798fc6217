"""What an operator can set, and where from."""

import tomllib
from datetime import timedelta
from importlib.resources import files
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest

from pikarelay.jobs.backoff import SCHEDULE
from pikarelay.settings import DECLARED, Declared, Settings, SettingsError
from pikarelay.settings.mirror import Bucket
from pikarelay.settings.values import DatabaseAddress

DEFAULT_FILE = files("pikarelay").joinpath("config.default.toml").read_text()


A_BUCKET = {
    "PIKARELAY_MIRROR_TARGET": "s3://results/pika/videos/",
    "PIKARELAY_MIRROR_PUBLIC_URL": "https://relay.example/pika/",
    "PIKARELAY_MIRROR_S3_ACCESS_KEY_ID": "key",
    "PIKARELAY_MIRROR_S3_SECRET_ACCESS_KEY": "hush",
}


def problems_of(environ: dict[str, str] | None = None, file: Any = "", flags: Any = None) -> list[str]:
    with pytest.raises(SettingsError) as refusal:
        Settings.load(environ or {}, file, flags)
    return str(refusal.value).splitlines()


def test_nothing_set_is_the_defaults() -> None:
    """Without any source, every setting has its default."""
    settings = Settings.load({})

    assert Settings() == settings
    assert settings.http.host == "127.0.0.1"
    assert settings.store.database_path == Path("pikarelay-data/pikarelay.sqlite3")
    assert settings.callbacks.schedule == SCHEDULE
    assert timedelta(seconds=1.5) == settings.discord.press_interval
    assert timedelta(seconds=10) == settings.discord.answer_wait
    assert timedelta(minutes=2) == settings.discord.first_message_within
    assert timedelta(minutes=30) == settings.discord.job_within
    assert timedelta(days=31) == settings.store.keep_jobs


def test_nearer_source_wins() -> None:
    """A flag wins over the environment, that over the file, that over the default."""
    file = "[http]\nport = 1\nhost = 'file'\n[log]\nlevel = 'debug'\n"
    environ = {"PIKARELAY_HTTP_PORT": "2", "PIKARELAY_HTTP_HOST": "environment"}

    settings = Settings.load(environ, file, {"http.port": 3})

    assert settings.http.port == 3
    assert settings.http.host == "environment"
    assert settings.log.level == "debug"
    assert settings.log.format == "text"


def test_setting_the_default_is_a_choice() -> None:
    """A nearer source that says the default wins over a farther one that says something else."""
    assert Settings.load({"PIKARELAY_HTTP_PORT": "8080"}, "[http]\nport = 1\n").http.port == 8080


def test_empty_is_not_set() -> None:
    """An empty variable and a flag of None leave the farther source alone."""
    settings = Settings.load({"PIKARELAY_HTTP_PORT": ""}, {"http": {"port": 1}}, {"http.port": None})

    assert settings.http.port == 1


def test_every_setting_has_a_variable() -> None:
    """Each setting can be set from the environment, and no two share a variable."""
    variables = [declared.variable for declared in DECLARED]

    assert len(set(variables)) == len(variables)
    assert {"PIKARELAY_HTTP_PORT", "PIKARELAY_DATABASE", "PIKARELAY_ROOT_KEY_FILE"} <= set(variables)


def test_lists_and_networks_come_from_text() -> None:
    """In the environment a list is separated by commas."""
    settings = Settings.load(
        {
            "PIKARELAY_CALLBACKS_ALLOW_NETWORKS": "10.1.0.0/16, ::1/128",
            "PIKARELAY_CALLBACKS_SCHEDULE_SECONDS": "0,2.5",
            "PIKARELAY_CALLBACKS_NAMESERVERS": "192.0.2.1, 192.0.2.1:5353, 2001:db8::1, [2001:db8::1]:53",
            "PIKARELAY_CALLBACKS_NAT64": "TRUE",
            "PIKARELAY_DISCORD_APPLICATION_ID": "123456789012345678",
        }
    )

    assert (ip_network("10.1.0.0/16"), ip_network("::1/128")) == settings.callbacks.allow_networks
    assert (timedelta(0), timedelta(seconds=2.5)) == settings.callbacks.schedule
    servers = ("192.0.2.1", "192.0.2.1:5353", "2001:db8::1", "[2001:db8::1]:53")
    assert servers == settings.callbacks.nameservers
    assert settings.callbacks.nat64
    assert settings.discord.application_id == "123456789012345678"


@pytest.mark.parametrize("text", ["/srv/p.sqlite3", "sqlite:////srv/p.sqlite3"])
def test_database_is_a_path_or_its_url(text: str) -> None:
    """Both ways to write the database's place mean the same."""
    assert Settings.load({"PIKARELAY_DATABASE": text}).store.database_path == Path("/srv/p.sqlite3")


def test_relative_database_url() -> None:
    """Three slashes are a path from where the server starts."""
    assert Settings.load({"PIKARELAY_DATABASE": "sqlite:///p.db"}).store.database_path == Path("p.db")


def test_address_is_shown_without_its_password() -> None:
    """A PostgreSQL database is given by its address, which is shown, and its password, which is not."""
    address = "postgresql://me:s3cret-w%40rd@db.example.com:5433/pika?sslmode=require"
    settings = Settings.load({"PIKARELAY_DATABASE": address})

    assert isinstance(settings.store.database, DatabaseAddress)
    assert address == settings.store.database.reveal()
    assert "postgresql://me:…secured…@db.example.com:5433/pika?sslmode=require" == str(
        settings.store.database
    )
    assert "s3cret" not in repr(settings)


def test_address_in_two_places() -> None:
    """The database's address in a setting and in a file is a contradiction."""
    with pytest.raises(SettingsError, match=r"store\.database and store\.database_file are both set"):
        Settings.load({"PIKARELAY_DATABASE": "postgresql://x/y", "PIKARELAY_DATABASE_FILE": "/run/x"})


def test_root_key_is_not_printed() -> None:
    """Settings can be shown without giving the key away."""
    key = "0123456789abcdef" * 4
    settings = Settings.load({"PIKARELAY_ROOT_KEY": key})

    assert settings.store.root_key is not None
    assert key == settings.store.root_key.reveal()
    assert key not in repr(settings)
    assert [declared.name for declared in DECLARED if declared.is_secret] == [
        "store.database",
        "store.root_key",
        "mirror.s3_secret_access_key",
    ]


@pytest.mark.parametrize(
    ("environ", "file", "flags", "problem"),
    [
        (
            {"PIKARELAY_HTTP_PROT": "1"},
            "",
            {},
            "PIKARELAY_HTTP_PROT is no setting; did you mean PIKARELAY_HTTP_PORT?",
        ),
        ({}, "[htp]\nport = 1", {}, "the configuration file has no place for htp; did you mean http?"),
        ({}, "port = 1", {}, "the configuration file has no place for port"),
        (
            {},
            "[http]\nprt = 1",
            {},
            "http.prt in the configuration file is no setting; did you mean http.port?",
        ),
        ({}, "", {"http.prot": 1}, "http.prot is no setting; did you mean http.port?"),
    ],
)
def test_unknown_names_are_refused(environ: Any, file: str, flags: Any, problem: str) -> None:
    """A slip of the pen is pointed out, with what was probably meant."""
    assert problems_of(environ, file, flags) == [problem]


def test_file_that_is_no_toml_is_refused() -> None:
    """The parser's own words tell where."""
    assert problems_of(file="[http\n")[0].startswith("the configuration file is not TOML: ")


@pytest.mark.parametrize(
    ("variable", "value", "problem"),
    [
        ("HTTP_PORT", "http", "must be a port, from 0 (any free one) to 65535"),
        ("HTTP_PORT", "65536", "must be a port, from 0 (any free one) to 65535"),
        ("HTTP_PORT", "-1", "must be a port, from 0 (any free one) to 65535"),
        ("HTTP_HOST", "a\nb", "must be a text on one line"),
        (
            "DATABASE",
            "mysql://db/pika",
            "must be a file's path, alone or after sqlite:///, or begin with postgresql://",
        ),
        (
            "DATABASE",
            "sqlite:p.db",
            "must be a file's path, alone or after sqlite:///, or begin with postgresql://",
        ),
        ("KEEP_JOBS_DAYS", "0", "must be a number from 1 to 36500"),
        ("DISCORD_API_URL", "discord.com", "must be a URL that begins with https:// or http://"),
        ("DISCORD_GATEWAY_URL", "https://a/", "must be a URL that begins with wss:// or ws://"),
        ("DISCORD_APPLICATION_ID", "Pika", "must be a Discord id, which has digits only"),
        ("DISCORD_JOB_SECONDS", "nan", "must be a number from 1 to 604800"),
        ("DISCORD_JOB_SECONDS", "soon", "must be a number from 1 to 604800"),
        ("CALLBACKS_NAT64", "yes", "must be one of true, false"),
        (
            "CALLBACKS_ALLOW_NETWORKS",
            "10.0.0.1/8",
            "has '10.0.0.1/8', which is no network like 10.1.0.0/16 or fd12::/64",
        ),
        *(
            (
                "CALLBACKS_NAMESERVERS",
                server,
                f"has {server!r}, which is no address like 192.0.2.1 or [2001:db8::1]:5353",
            )
            for server in (
                "dns.example",
                "192.0.2.1:",
                "192.0.2.1:dns",
                "192.0.2.1:70000",
                "[2001:db8::1]",
                "1.2.3",
            )
        ),
        ("CALLBACKS_SCHEDULE_SECONDS", "0,-5", "must be a number from 0 to 604800"),
        ("MIRROR_TARGET", "http://a/b", "must be a folder's path, or a bucket like s3://name/prefix"),
        ("MIRROR_TARGET", "s3://", "must be a bucket like s3://name/prefix, in plain letters and digits"),
        ("MIRROR_TARGET", "s3://a/b", "must be a bucket like s3://name/prefix, in plain letters and digits"),
        (
            "MIRROR_TARGET",
            "s3://abc/d e",
            "must be a bucket like s3://name/prefix, in plain letters and digits",
        ),
        (
            "MIRROR_TARGET",
            "s3://abc/../d",
            "must be a bucket like s3://name/prefix, in plain letters and digits",
        ),
        ("MIRROR_PUBLIC_URL", "relay.example", "must be a URL that begins with https:// or http://"),
        ("MIRROR_S3_ENDPOINT", "https://a/b", "must be a URL of nothing but a scheme, a host and a port"),
        ("MIRROR_S3_ENDPOINT", "https://u:p@a", "must be a URL of nothing but a scheme, a host and a port"),
        ("LOG_LEVEL", "loud", "must be one of debug, info, warning, error"),
    ],
)
def test_impossible_values_are_refused(variable: str, value: str, problem: str) -> None:
    """A value that cannot be meant is refused by the name it was set under."""
    assert problems_of({f"PIKARELAY_{variable}": value}) == [f"PIKARELAY_{variable} {problem}"]


@pytest.mark.parametrize(
    ("file", "problem"),
    [
        (
            "[http]\nport = true",
            "http.port in the configuration file must be a port, from 0 (any free one) to 65535",
        ),
        ("[http]\nhost = 1", "http.host in the configuration file must be a text on one line"),
        (
            "[callbacks]\nschedule_seconds = 5",
            "callbacks.schedule_seconds in the configuration file must be a list",
        ),
        (
            "[discord]\njob_seconds = true",
            "discord.job_seconds in the configuration file must be a number from 1 to 604800",
        ),
    ],
)
def test_wrong_types_in_the_file_are_refused(file: str, problem: str) -> None:
    """A value of another type is not bent until it fits."""
    assert problems_of(file=file) == [problem]


@pytest.mark.parametrize(
    ("environ", "names"),
    [
        (
            {"PIKARELAY_ROOT_KEY": "a", "PIKARELAY_ROOT_KEY_FILE": "b"},
            ["store.root_key", "store.root_key_file"],
        ),
        ({"PIKARELAY_DISCORD_ANSWER_WAIT_SECONDS": "200"}, ["answer_wait_seconds", "first_message_seconds"]),
        ({"PIKARELAY_DISCORD_JOB_SECONDS": "60"}, ["first_message_seconds", "job_seconds"]),
        ({"PIKARELAY_CALLBACKS_TOTAL_SECONDS": "2"}, ["connect_seconds", "total_seconds"]),
        ({"PIKARELAY_DISCORD_GATEWAY_URL": "ws://a"}, ["discord.gateway_url", "discord.api_url"]),
        ({"PIKARELAY_MIRROR_TARGET": "/srv/results"}, ["mirror.target", "mirror.public_url"]),
        (
            {**A_BUCKET, "PIKARELAY_MIRROR_PUBLIC_URL": ""},
            ["mirror.target", "mirror.public_url"],
        ),
        (
            {**A_BUCKET, "PIKARELAY_MIRROR_S3_ACCESS_KEY_ID": ""},
            ["mirror.target", "mirror.s3_access_key_id"],
        ),
        (
            {**A_BUCKET, "PIKARELAY_MIRROR_S3_SECRET_ACCESS_KEY": ""},
            ["mirror.target", "mirror.s3_secret_access_key", "mirror.s3_secret_access_key_file"],
        ),
        (
            {**A_BUCKET, "PIKARELAY_MIRROR_S3_SECRET_ACCESS_KEY_FILE": "b"},
            ["mirror.s3_secret_access_key", "mirror.s3_secret_access_key_file"],
        ),
    ],
)
def test_contradictions_are_refused(environ: dict[str, str], names: list[str]) -> None:
    """Two settings that cannot both be meant are named in one sentence."""
    problems = problems_of(environ)

    assert len(problems) == 1
    assert all(name in problems[0] for name in names)


def test_mirror_in_a_bucket() -> None:
    """A bucket is a name and what keys begin with; its secret is not printed, and the public URL may have a path."""
    mirror = Settings.load(A_BUCKET).mirror

    assert Bucket("results", "pika/videos") == mirror.target
    assert "s3://results/pika/videos" == str(mirror.target)
    assert "s3://results" == str(
        Settings.load({**A_BUCKET, "PIKARELAY_MIRROR_TARGET": "s3://results"}).mirror.target
    )
    assert "https://relay.example/pika" == mirror.public_url
    assert "hush" not in repr(mirror)


def test_mirror_in_a_folder() -> None:
    """A folder needs nothing but where its files are reached."""
    environ = {"PIKARELAY_MIRROR_TARGET": "results", "PIKARELAY_MIRROR_PUBLIC_URL": "http://127.0.0.1:8080"}
    mirror = Settings.load({**environ, "PIKARELAY_MIRROR_MAX_FILE_MIB": "0.5"}).mirror

    assert Path("results") == mirror.target
    assert 512 * 1024 == mirror.max_bytes


def test_empty_schedule_is_refused() -> None:
    """A schedule without tries would lose every callback."""
    assert (
        "callbacks.schedule_seconds is empty" in problems_of(file={"callbacks": {"schedule_seconds": []}})[0]
    )


def test_local_discord_needs_no_encryption() -> None:
    """Where the API is plain HTTP, the Gateway may be plain too."""
    environ = {
        "PIKARELAY_DISCORD_API_URL": "http://127.0.0.1:4000/api/v9/",
        "PIKARELAY_DISCORD_GATEWAY_URL": "ws://127.0.0.1:4000/gateway",
    }

    assert Settings.load(environ).discord.api_url == "http://127.0.0.1:4000/api/v9"


def test_all_problems_are_told_at_once() -> None:
    """Nobody has to start the server three times to learn of three mistakes."""
    problems = problems_of({"PIKARELAY_HTTP_PORT": "x", "PIKARELAY_NOPE": "1"}, "[log]\nlevel = 'loud'\n")

    assert len(problems) == 3


def test_foreign_variables_are_left_alone() -> None:
    """Other programs' variables, and the one that names the file, are no settings."""
    assert Settings.load({"PATH": "/bin", "PIKARELAY_CONFIG": "/etc/p.toml"}) == Settings()


# The default file is the documentation.


def lines_of(declared: Declared) -> tuple[str, str]:
    """Return the comment above a setting in the default file, and its own line."""
    section = DEFAULT_FILE.split(f"[{declared.section}]\n")[1].split("\n[")[0].splitlines()
    place = next(
        number
        for number, line in enumerate(section)
        if line.removeprefix("# ").startswith(f"{declared.key} = ")
    )
    return section[place - 1], section[place]


@pytest.mark.parametrize("declared", DECLARED, ids=lambda declared: declared.name)
def test_default_file_documents_each_setting(declared: Declared) -> None:
    """The file shows each setting under its sentence; commented out, with a valid example, when it has no default."""
    comment, line = lines_of(declared)
    example = tomllib.loads(line.removeprefix("# "))[declared.key]

    assert f"# {declared.description}" == comment
    assert line.startswith("# ") == (declared.default is None)
    if declared.default is not None:
        assert declared.read(example) == declared.default
    else:
        assert declared.read(example) is not None


def test_default_file_loads_to_the_defaults() -> None:
    """The file as it is changes nothing, and has nothing that is no setting."""
    assert Settings.load({}, DEFAULT_FILE) == Settings()


def test_descriptions_are_sentences() -> None:
    """What `--help` shows is one sentence."""
    for declared in DECLARED:
        assert declared.description.endswith(".")
        assert ". " not in declared.description
