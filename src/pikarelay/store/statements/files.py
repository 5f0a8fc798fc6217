"""Uploaded files, in pieces."""

import sqlalchemy as sa
from sqlalchemy import bindparam as p

from pikarelay.store import schema as s
from pikarelay.store.statements.insert import Insert

insert_file = Insert(s.stored_files)
insert_piece = Insert(s.file_pieces)
file_piece = sa.select(s.file_pieces.c.piece).where(
    s.file_pieces.c.upload_key == p("upload_key"), s.file_pieces.c.number == p("number")
)
files_size = sa.select(
    sa.cast(sa.func.coalesce(sa.func.sum(s.stored_files.c.size), sa.literal_column("0")), sa.BigInteger)
)
files_before = (
    sa.select(s.stored_files.c.upload_key)
    .where(s.stored_files.c.finished < p("before"))
    .order_by(s.stored_files.c.finished)
)
delete_file = sa.delete(s.stored_files).where(s.stored_files.c.upload_key == p("upload_key"))
