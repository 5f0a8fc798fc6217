"""Stored files: from what was sent to attachments, and back by id for the CDN."""

from collections.abc import Mapping
from typing import Any

from localdiscord.apps.application import File
from localdiscord.cdn.pictures import content_type_of, size_of
from localdiscord.wire import errors
from localdiscord.world.models import Attachment, Json
from localdiscord.world.snowflakes import Chance
from localdiscord.world.uploads import Uploads

FILES_PER_MESSAGE = 10


class Files:
    """All attachments there are."""

    def __init__(self, chance: Chance, uploads: Uploads, file_limit: int) -> None:
        self._chance = chance
        self._uploads = uploads
        self._limit = file_limit
        self._by_id: dict[int, Attachment] = {}

    def get(self, attachment_id: int) -> Attachment | None:
        return self._by_id.get(attachment_id)

    def forget(self, attachment: Attachment) -> None:
        self._by_id.pop(attachment.id, None)

    def store(
        self, file: File, owner_id: int, *, ephemeral: bool, description: str | None = None
    ) -> Attachment:
        """Keep the file and return it as an attachment of the channel (or, when ephemeral, application)."""
        if len(file.data) > self._limit:
            raise errors.too_large()
        size = (file.width, file.height) if file.width else size_of(file.data)
        attachment = Attachment(
            id=self._chance.snowflake(),
            owner_id=owner_id,
            filename=file.filename,
            content_type=content_type_of(file.filename, file.content_type),
            data=file.data,
            width=size[0] if size else None,
            height=size[1] if size else None,
            description=description,
            ephemeral=ephemeral,
        )
        self._by_id[attachment.id] = attachment
        return attachment

    def collect(self, refs: Any, sent: Mapping[int, File], user_id: int) -> list[tuple[Json, File]]:
        """
        Pair every new file with the entry of `attachments` that describes it, in order.

        An entry means a pre-uploaded file by its `uploaded_filename`, or an in-band one by the number in
        `files[n]`. In-band files without an entry come last. Entries that fit neither are not new and are left out.
        """
        entries = refs if isinstance(refs, list) else []
        left = dict(sent)
        found: list[tuple[Json, File]] = []
        for position, entry in enumerate(entries):
            if not isinstance(entry, dict):
                raise errors.bad_type("attachments", position)
            number = str(entry.get("id", ""))
            if uploaded := entry.get("uploaded_filename"):
                found.append((entry, self._named(entry, self._uploads.read(str(uploaded), user_id))))
            elif number.isdigit() and int(number) in left:
                found.append((entry, self._named(entry, left.pop(int(number)))))
        found.extend(({"id": str(number)}, file) for number, file in sorted(left.items()))
        if len(found) > FILES_PER_MESSAGE:
            raise errors.too_long(FILES_PER_MESSAGE, "attachments")
        return found

    @staticmethod
    def _named(entry: Json, file: File) -> File:
        filename = str(entry.get("filename") or file.filename)
        return File(filename, file.content_type, file.data, file.width, file.height)
