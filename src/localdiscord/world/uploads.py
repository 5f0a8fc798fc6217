"""Files on their way: announced, put into the bucket, then named by a message or a command."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from localdiscord.apps.application import File
from localdiscord.cdn.links import Links
from localdiscord.clock import Clock
from localdiscord.wire import errors
from localdiscord.world.models import Json
from localdiscord.world.snowflakes import Chance

#: How long an upload waits to be used.
LIFETIME_SECONDS = 3600.0
FILES_AT_ONCE = 10


@dataclass(slots=True)
class Upload:
    """One announced file."""

    filename: str
    user_id: int
    channel_id: int
    #: The secret of its link.
    upload_id: str
    created: float
    #: None until it was put.
    data: bytes | None = None


class Uploads:
    """The bucket, by `upload_filename`: `<uuid>/<filename>`."""

    def __init__(self, chance: Chance, clock: Clock, links: Links, file_limit: int) -> None:
        self._chance = chance
        self._clock = clock
        self._links = links
        self._limit = file_limit
        self._uploads: dict[str, Upload] = {}

    def announce(self, user_id: int, channel_id: int, files: Any) -> list[Json]:
        """Reserve a place for each file and return the `attachments` of the answer."""
        if not isinstance(files, Sequence) or isinstance(files, str) or not files:
            raise errors.required("files")
        if len(files) > FILES_AT_ONCE:
            raise errors.too_long(FILES_AT_ONCE, "files")
        self._forget_old()
        return [self._reserve(user_id, channel_id, position, file) for position, file in enumerate(files)]

    def _reserve(self, user_id: int, channel_id: int, position: int, file: Any) -> Json:
        if not isinstance(file, dict):
            raise errors.bad_type("files", position)
        filename, size = file.get("filename"), file.get("file_size")
        if not isinstance(filename, str) or not filename:
            raise errors.required("files", position, "filename")
        if isinstance(size, str) and size.isdigit():
            size = int(size)
        if not isinstance(size, int):
            raise errors.required("files", position, "file_size")
        if size > self._limit:
            raise errors.too_large()
        upload = Upload(filename, user_id, channel_id, self._chance.text(48), self._clock.now())
        upload_filename = f"{self._chance.uuid()}/{filename}"
        self._uploads[upload_filename] = upload
        url = f"{self._links.base_url}/uploads/{upload_filename}?upload_id={upload.upload_id}"
        return {"id": file.get("id"), "upload_url": url, "upload_filename": upload_filename}

    def _forget_old(self) -> None:
        oldest = self._clock.now() - LIFETIME_SECONDS
        while self._uploads:
            name, upload = next(iter(self._uploads.items()))
            if upload.created >= oldest:
                return
            del self._uploads[name]

    def put(self, upload_filename: str, upload_id: str, data: bytes) -> bool:
        """Store the bytes; False when no such upload was announced. A second put replaces the first."""
        upload = self._uploads.get(upload_filename)
        if upload is None or upload.upload_id != upload_id:
            return False
        if len(data) > self._limit:
            raise errors.too_large()
        upload.data = data
        return True

    def read(self, upload_filename: str, user_id: int) -> File:
        """Return the stored file, or raise `Uploaded file not found`."""
        upload = self._uploads.get(upload_filename)
        if upload is None or upload.data is None or upload.user_id != user_id:
            raise errors.uploaded_file_not_found()
        if upload.created < self._clock.now() - LIFETIME_SECONDS:
            raise errors.uploaded_file_not_found()
        return File(upload.filename, "", upload.data)

    def delete(self, upload_filename: str, user_id: int) -> None:
        upload = self._uploads.get(upload_filename)
        if upload is None or upload.user_id != user_id:
            raise errors.uploaded_file_not_found()
        del self._uploads[upload_filename]
