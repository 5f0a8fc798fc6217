"""
The next release, as far as there can be one today: a copy of the sources with one migration more, and code that needs it.

Every job that it admits fills a column that this release knows nothing of, and has a row in a table of its own. What is
added to the copy's modules stands here as text; nothing in them is replaced but the number of the schema.
"""

import shutil
from pathlib import Path

from pikarelay.store.migrations import NEEDED

NEXT = f"{int(NEEDED) + 1:04}"
#: What its nodes write into the new column of the jobs that they admit. Jobs of this release have the default.
FILLED = "next"

_MIGRATION = '''"""A column with a default, and a table, that the release before does without."""

import sqlalchemy as sa
from alembic import op

revision = "{next}"
down_revision = "{needed}"
{oldest_code}


def upgrade() -> None:
    op.add_column("jobs", sa.Column("admitted_by", sa.Text, nullable=False, server_default="before"))
    op.create_table(
        "admissions",
        sa.Column("job_id", sa.Text, sa.ForeignKey("jobs.job_id", ondelete="CASCADE"), primary_key=True),
        sa.Column("channel", sa.Text, nullable=False),
    )
'''

_SCHEMA = """
admissions = sa.Table(
    "admissions",
    metadata,
    sa.Column("job_id", sa.Text, sa.ForeignKey("jobs.job_id", ondelete="CASCADE"), primary_key=True),
    sa.Column("channel", sa.Text, nullable=False),
)
jobs_of_next = jobs.to_metadata(sa.MetaData())
jobs_of_next.append_column(sa.Column("admitted_by", sa.Text, nullable=False, server_default="before"))
"""

_STATEMENTS = """
insert_job = Insert(s.jobs_of_next, returning=s.jobs_of_next.c.job_id)
insert_admission = Insert(s.admissions)
"""

_ROWS = f"""
_params_before = job_params


def job_params(job, sealed):
    return {{**_params_before(job, sealed), "admitted_by": "{FILLED}"}}
"""

_TRANSACTIONS = """
_admit_before = admit


def admit(*args, **its):
    admitted = yield from _admit_before(*args, **its)
    if admitted is not None:
        yield "insert_admission", {"job_id": admitted.job_id, "channel": admitted.channel}
    return admitted
"""


def next_release(sources: Path, folder: Path, *, oldest_code: str | None = NEEDED) -> Path:
    """
    Make the next release of `sources` in `folder`, and return it.

    `oldest_code` is what its migration says of itself; None: it forgets to.
    """
    shutil.copytree(sources, folder, ignore=shutil.ignore_patterns("__pycache__"))
    store = folder / "pikarelay" / "store"
    migrations = store / "migrations"
    (migrations / "versions" / f"v{NEXT}_next.py").write_text(
        _MIGRATION.format(
            next=NEXT,
            needed=NEEDED,
            oldest_code="" if oldest_code is None else f'oldest_code = "{oldest_code}"',
        )
    )
    module = migrations / "__init__.py"
    before, line, after = module.read_text().partition(f'\nNEEDED = "{NEEDED}"\n')
    if not line:
        raise ValueError("where the schema's number stands is not known any more")
    module.write_text(f'{before}\nNEEDED = "{NEXT}"\n{after}')
    for name, more in (
        ("schema", _SCHEMA),
        ("statements/jobs", _STATEMENTS),
        ("rows/jobs", _ROWS),
        ("transactions/jobs", _TRANSACTIONS),
    ):
        with (store / f"{name}.py").open("a") as stream:
            stream.write(more)
    return folder
