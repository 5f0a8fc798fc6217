"""Owed answers."""

import sqlalchemy as sa
from sqlalchemy import bindparam as p

from pikarelay.store import schema as s
from pikarelay.store.statements.insert import Insert

insert_answer = Insert(s.owed_answers)
answer = sa.select(*s.owed_answers.c).where(s.owed_answers.c.job_id == p("job_id"))
answer_to_change = answer.with_for_update()
update_answer = (
    sa.update(s.owed_answers)
    .values(state=p("state"), refusal=p("refusal"))
    .where(s.owed_answers.c.job_id == p("this_job"))
)
# One that is about to be refused stays until that is decided, or a day: others may ask for the job meanwhile.
delete_answer = sa.delete(s.owed_answers).where(
    s.owed_answers.c.job_id == p("job_id"), s.owed_answers.c.state != sa.literal_column("'refusing'")
)
prune_answers = sa.delete(s.owed_answers).where(s.owed_answers.c.until < p("before"))
