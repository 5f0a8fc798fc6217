"""Copies of results."""

import sqlalchemy as sa
from sqlalchemy import bindparam as p

from pikarelay.jobs.mirror import CopyState
from pikarelay.store import schema as s
from pikarelay.store.statements.insert import NO_OFFSET, Insert

_all = tuple(s.mirror_copies.c)


def _is(state: CopyState) -> sa.ColumnElement[bool]:
    return s.one_of(s.mirror_copies.c.state, [state.value])


#: Waiting without an error is the first try's turn, or a try under way.
_rests = sa.or_(_is(CopyState.FAILED), sa.and_(_is(CopyState.WAITING), s.mirror_copies.c.error.is_not(None)))

# A name is made of 130 random bits: one that is there is this very copy.
insert_copy = Insert(s.mirror_copies)
# As with callbacks, a claim is a lease: `due` moves to its end.
claim_copies = (
    sa.update(s.mirror_copies)
    .values(
        due=p("leased_until"), attempt=s.mirror_copies.c.attempt + sa.literal_column("1"), error=sa.null()
    )
    .where(
        s.mirror_copies.c.name.in_(
            sa.select(s.mirror_copies.c.name)
            .where(s.copy_is_due, s.mirror_copies.c.due <= p("now"))
            .order_by(s.mirror_copies.c.due, s.mirror_copies.c.name)
            .limit(p("limit", type_=sa.Integer))
            .offset(NO_OFFSET)
            .with_for_update(skip_locked=True)
        )
    )
    .returning(*_all)
)
_this_try = sa.and_(
    s.mirror_copies.c.name == p("this_copy"),
    s.mirror_copies.c.attempt == p("this_attempt"),
    s.copy_is_due,
)
renew_copy = (
    sa.update(s.mirror_copies)
    .values(due=p("leased_until"))
    .where(_this_try)
    .returning(s.mirror_copies.c.name)
)
finish_copy = (
    sa.update(s.mirror_copies)
    .values({name: p(name) for name in ("state", "due", "error", "mirror", "size", "media_type")})
    .where(_this_try)
    .returning(s.mirror_copies.c.name)
)
# What has been claimed and has no error is being tried.
release_copies = (
    sa.update(s.mirror_copies)
    .values(due=p("due"))
    .where(
        s.copy_is_due,
        s.mirror_copies.c.due > p("now"),
        s.mirror_copies.c.attempt > sa.literal_column("0", sa.Integer),
        s.mirror_copies.c.error.is_(None),
    )
    .returning(s.mirror_copies.c.name)
)
next_copy = sa.select(sa.func.min(s.mirror_copies.c.due)).where(s.copy_is_due)
mirror_copy = sa.select(*_all).where(s.mirror_copies.c.name == p("name"))
undone_copies = (
    sa.select(*_all)
    .where(s.copy_is_undone)
    .order_by(s.mirror_copies.c.begun, s.mirror_copies.c.name)
    .limit(p("limit", type_=sa.Integer))
    .offset(NO_OFFSET)
)
count_copies = sa.select(
    s.mirror_copies.c.state,
    sa.func.count(),
    sa.func.coalesce(sa.func.sum(s.mirror_copies.c.size), sa.literal_column("0", sa.BigInteger)),
).group_by(s.mirror_copies.c.state)
_again = sa.update(s.mirror_copies).values(state=p("state"), due=p("due"), begun=p("begun"), error=sa.null())
retry_copies = _again.where(s.copy_is_undone, _rests, s.mirror_copies.c.job_id.is_not(None)).returning(
    s.mirror_copies.c.name
)
retry_copies_of_job = _again.where(
    s.mirror_copies.c.job_id == p("this_job"), sa.or_(_rests, _is(CopyState.DONE))
).returning(s.mirror_copies.c.name)
abandoned_copies = (
    sa.select(*_all)
    .where(s.copy_is_abandoned, sa.or_(s.copy_is_undone, p("with_done", type_=sa.Boolean)))
    .order_by(s.mirror_copies.c.name)
    .limit(p("limit", type_=sa.Integer))
    .offset(NO_OFFSET)
)
forget_copy = sa.delete(s.mirror_copies).where(s.mirror_copies.c.name == p("name"))
