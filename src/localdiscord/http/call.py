"""One call of a REST route: who asks, with what body; and the answer before it is written."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import msgspec
from aiohttp import BodyPartReader, MultipartReader, StreamReader, web

from localdiscord.apps.application import File
from localdiscord.wire import errors
from localdiscord.world.drafts import snowflake
from localdiscord.world.models import Json, User
from localdiscord.world.world import World

encode = msgspec.json.Encoder().encode
decode = msgspec.json.Decoder().decode

TRUE_WORDS = frozenset({"1", "true", "True"})
NO_BODY = b""


@dataclass(slots=True)
class Reply:
    """An answer: status and encoded body; empty bodies have no content type."""

    status: int
    body: bytes = NO_BODY
    headers: dict[str, str] = field(default_factory=dict)
    content_type: str = "application/json"


def ok(value: Any) -> Reply:
    return Reply(200, encode(value))


def no_content() -> Reply:
    return Reply(204)


@dataclass(slots=True)
class Call:
    """A request on a known route."""

    world: World
    request: web.Request
    #: None on routes without authorization.
    caller: User | None

    @property
    def user(self) -> User:
        """Return who is logged in; only on routes that require it."""
        if self.caller is None:
            raise errors.unauthorized()
        return self.caller

    def id(self, name: str) -> int:
        """Return a path parameter as a snowflake."""
        return snowflake(self.request.match_info[name], name)

    def path(self, name: str) -> str:
        return self.request.match_info[name]

    def flag(self, name: str) -> bool:
        return self.request.query.get(name) in TRUE_WORDS

    async def json(self) -> Any:
        """Return the decoded body; an empty one is an empty object."""
        raw = await self._read()
        if not raw:
            return {}
        if self.request.content_type != "application/json":
            raise errors.InvalidForm(
                (),
                "CONTENT_TYPE_INVALID",
                'Expected "Content-Type" header to be one of {"application/json", "multipart/form-data"}.',
            )
        return _decoded(raw)

    async def object(self) -> Json:
        """Return the decoded body, which must be an object."""
        return _object(await self.json())

    async def form(self) -> tuple[Json, Mapping[int, File]]:
        """Return the JSON of the body and its files, whether it came as JSON or as multipart."""
        if self.request.content_type != "multipart/form-data":
            return await self.object(), {}
        payload: Json = {}
        files: dict[int, File] = {}
        reader = await self._multipart()
        try:
            async for part in reader:
                if not isinstance(part, BodyPartReader):
                    continue
                if part.name == "payload_json":
                    payload = _object(_decoded(bytes(await part.read(decode=False))))
                elif part.name and part.name.startswith("file"):
                    files[_number(part.name, len(files))] = await self._file(part)
        except ValueError as error:
            raise _unreadable() from error
        return payload, files

    async def _multipart(self) -> MultipartReader:
        """Return a reader over the whole body, which is read first: a fault may have had it read before."""
        raw = await self._read()
        stream = StreamReader(self.request.protocol, limit=len(raw) + 1)
        stream.feed_data(raw)
        stream.feed_eof()
        try:
            return MultipartReader(self.request.headers, stream)
        except ValueError as error:
            raise _unreadable() from error

    async def _file(self, part: BodyPartReader) -> File:
        data = bytearray()
        while chunk := await part.read_chunk(65_536):
            data += chunk
            if len(data) > self.world.rules.file_limit:
                raise errors.too_large()
        return File(part.filename or "file", part.headers.get("Content-Type", ""), bytes(data))

    async def _read(self) -> bytes:
        try:
            return await self.request.read()
        except web.HTTPRequestEntityTooLarge as error:
            raise errors.too_large() from error


def _unreadable() -> errors.InvalidForm:
    return errors.InvalidForm((), "MULTIPART_INVALID", "The multipart body cannot be read.")


def _number(name: str, otherwise: int) -> int:
    """Return n of `files[n]`; old clients call their only file `file`."""
    digits = name.removeprefix("files[").removesuffix("]")
    return int(digits) if digits.isdigit() else otherwise


def _decoded(raw: bytes) -> Any:
    try:
        return decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise errors.invalid_json() from error


def _object(value: Any) -> Json:
    if not isinstance(value, dict):
        raise errors.invalid_json()
    return value


Handler = Callable[[Call], Awaitable[Reply]]


@dataclass(frozen=True, slots=True)
class Route:
    """A REST route below `/api/v9` and `/api/v10`."""

    method: str
    template: str
    handler: Handler
    #: Who may call it. `nobody` means that no Authorization is asked for.
    auth: Literal["any", "user", "bot", "nobody"] = "any"
    #: False on interaction callbacks and webhooks: their limits are apart, and they carry no headers.
    is_global: bool = True
