"""Jobs."""

import sqlalchemy as sa
from sqlalchemy import bindparam as p

from pikarelay.jobs.job import PressPhase, Status
from pikarelay.jobs.ownership import channel_name
from pikarelay.store import schema as s
from pikarelay.store.statements.insert import NO_OFFSET, Insert

#: How many message ids one look-up takes; a message of the bot names four others at most.
OWNERS_AT_ONCE = 8
#: A page of a channel's history has a hundred.
MESSAGES_AT_ONCE = 50

#: How many files one look-up takes.
UPLOADS_AT_ONCE = 64

#: The columns of a job that its life changes. The others are fixed when it is admitted.
MUTABLE = frozenset(
    {"status", "updated", "phase", "sent", "interaction_id", "message_id", "discord_token", "document"}
)

# Jobs, read.
_by_age = (s.jobs.c.created, s.jobs.c.job_id)
_any_job = sa.select(*s.jobs.c).where(s.jobs.c.job_id == p("job_id"))
_is_shown = sa.not_(s.jobs.c.withdrawn)
job = _any_job.where(_is_shown)
job_by_nonce = sa.select(*s.jobs.c).where(s.jobs.c.nonce == p("nonce"))
job_by_key = (
    sa.select(*s.jobs.c, s.request_keys.c.digest)
    .join_from(s.request_keys, s.jobs, s.request_keys.c.job_id == s.jobs.c.job_id)
    .where(
        s.request_keys.c.caller_id == p("caller_id"),
        s.request_keys.c.request_key == p("request_key"),
        s.request_keys.c.created >= p("since"),
    )
)
unfinished = sa.select(*s.jobs.c).where(s.unfinished).order_by(*_by_age)
# Of the channels that a worker holds: there may be a hundred times as many of others, each with a token to unseal.
_holding_of_channel = (
    s.holdings.c.name == sa.literal_column(f"'{channel_name('')}'", sa.Text) + s.jobs.c.channel
)
_is_held = sa.exists().where(_holding_of_channel, s.holdings.c.owner == p("owner"))
unfinished_held = unfinished.where(_is_held)
# Ids are sortable by time, so the primary key's index has the newest at its end.
newest_jobs = (
    sa.select(*s.jobs.c)
    .where(_is_shown)
    .order_by(s.jobs.c.job_id.desc())
    .limit(p("limit", type_=sa.Integer))
    .offset(NO_OFFSET)
)
executing = (
    sa.select(s.jobs.c.job_id, s.jobs.c.channel)
    .where(s.jobs.c.caller_id == p("caller_id"), s.unfinished)
    .order_by(*_by_age)
)
# The same for an admission, which needs the caller to be there, and to stay until it is through: a row at least if it is.
executing_of_kept_caller = (
    sa.select(s.jobs.c.job_id, s.jobs.c.channel)
    .select_from(
        s.callers.outerjoin(s.jobs, sa.and_(s.jobs.c.caller_id == s.callers.c.caller_id, s.unfinished))
    )
    .where(s.callers.c.caller_id == p("caller_id"))
    .order_by(*_by_age)
    .with_for_update(read=True, key_share=True, of=s.callers)
)
executing_on = sa.select(s.jobs.c.job_id).where(
    s.jobs.c.channel == p("channel"), s.jobs.c.caller_id == p("caller_id"), s.unfinished
)
_OPEN, _GHOST, _OWNER = (sa.literal_column(f"'{what}'", sa.Text) for what in ("open", "ghost", "owner"))
# A waiting press has not left this server, so no message of the bot can be about it.
_open_jobs = sa.select(_OPEN.label("what"), *s.jobs.c).where(
    s.jobs.c.channel == p("channel"),
    s.unfinished,
    s.jobs.c.phase != sa.literal_column(f"'{PressPhase.WAITING.value}'"),
)
_ghosts = sa.select(_GHOST.label("what"), *s.jobs.c).where(
    s.jobs.c.channel == p("channel"), s.haunting, s.jobs.c.sent > p("since")
)
# Those that another's job could be mistaken for.
ghosts_beside_jobs = (
    sa.select(*s.jobs.c)
    .where(
        s.haunting,
        s.jobs.c.sent > p("since"),
        s.jobs.c.channel.in_(sa.select(s.jobs.c.channel).where(s.unfinished).correlate(None)),
    )
    .order_by(s.jobs.c.sent, s.jobs.c.job_id)
)
ghosts_beside_jobs_held = ghosts_beside_jobs.where(_is_held)
# A fixed number of places, the rest filled up: the text stays the same for any number of ids.
_is_owned = s.message_owners.c.message_id.in_([p(f"id_{n}", type_=sa.Text) for n in range(OWNERS_AT_ONCE)])
owners = sa.select(s.message_owners.c.message_id, s.message_owners.c.job_id).where(_is_owned)
# In a row of the shape of a job's, in which all else is NULL.
_owners_as_jobs = sa.select(
    _OWNER.label("what"),
    *(
        (
            s.message_owners.c[its.name] if its.name in s.message_owners.c else sa.cast(sa.null(), its.type)
        ).label(its.name)
        for its in s.jobs.c
    ),
).where(_is_owned)
# All in one, for it is asked about each message and before each press, and must be of one moment.
sightings = sa.union_all(_open_jobs, _ghosts, _owners_as_jobs)
closed_messages = (
    sa.select(s.message_owners.c.message_id)
    .join_from(s.message_owners, s.jobs, s.message_owners.c.job_id == s.jobs.c.job_id)
    .where(
        s.message_owners.c.message_id.in_([p(f"id_{n}", type_=sa.Text) for n in range(MESSAGES_AT_ONCE)]),
        s.one_of(s.jobs.c.status, [Status.COMPLETED.value, Status.MODERATED.value]),
    )
)

# Jobs, written.
# Makes the channel's row, or locks the one that is there: writing a column over with itself is what locks it.
lock_channel = Insert(s.channels, key=(s.channels.c.channel,), replace=(s.channels.c.channel,))
insert_job = Insert(s.jobs, returning=s.jobs.c.job_id)
insert_upload = Insert(s.uploads)
# A key whose time is over makes room for its next use.
forget_key = sa.delete(s.request_keys).where(
    s.request_keys.c.caller_id == p("caller_id"),
    s.request_keys.c.request_key == p("request_key"),
    s.request_keys.c.created < p("before"),
)
insert_key = Insert(s.request_keys, returning=s.request_keys.c.request_key)
job_to_change = _any_job.with_for_update()
# The same with who holds its channel, which nobody else can take before the end of the transaction. That row's lock is shared, so
# that a worker's changes do not wait for each other; Core has one kind of lock for all tables of a statement.
held_job_to_change = (
    sa.select(*s.jobs.c, s.holdings.c.owner, s.holdings.c.epoch)
    .join_from(s.jobs, s.holdings, _holding_of_channel)
    .where(s.jobs.c.job_id == p("job_id"))
    .suffix_with("FOR UPDATE OF jobs FOR SHARE OF holdings", dialect="postgresql")
)
# Only what can change: SQLite rewrites an index whenever a column of it is named here, changed or not.
update_job = (
    sa.update(s.jobs)
    .values({column: p(column.name) for column in s.jobs.c if column.name in MUTABLE})
    .where(s.jobs.c.job_id == p("this_job"))
)
# Answers with the owner, whether it is a new one or was there before.
own_message = Insert(
    s.message_owners,
    key=(s.message_owners.c.message_id,),
    replace=(s.message_owners.c.message_id,),
    returning=s.message_owners.c.job_id,
)
# It was given away late, and is somebody else's after all.
adopt_message = own_message._replace(replace=(s.message_owners.c.job_id,))
# Nothing was sent, so nothing can come.
_created_job = sa.and_(s.jobs.c.job_id == p("job_id"), s.one_of(s.jobs.c.status, [Status.CREATED.value]))
withdraw_waiting_job = sa.delete(s.jobs).where(
    _created_job, s.one_of(s.jobs.c.phase, [PressPhase.WAITING.value])
)
withdraw_unsent_job = sa.delete(s.jobs).where(
    _created_job, s.one_of(s.jobs.c.phase, [PressPhase.WAITING.value, PressPhase.SENT.value])
)
withdraw_sent_job = (
    sa.update(s.jobs)
    .values(withdrawn=sa.true(), status=sa.literal_column(f"'{Status.FAILED.value}'"))
    .where(
        s.jobs.c.job_id == p("this_job"),
        s.one_of(s.jobs.c.status, [Status.CREATED.value]),
        s.one_of(s.jobs.c.phase, [PressPhase.SENT.value]),
    )
    .returning(s.jobs.c.job_id)
)
free_key = sa.delete(s.request_keys).where(s.request_keys.c.job_id == p("job_id"))
disown_uploads = sa.delete(s.uploads).where(s.uploads.c.job_id == p("job_id"))
# In portions, so that a large clean-up keeps nobody waiting long.
prune_jobs = (
    sa.delete(s.jobs)
    .where(
        s.jobs.c.job_id.in_(
            sa.select(s.jobs.c.job_id)
            .where(s.final, s.jobs.c.updated < p("before"))
            .order_by(s.jobs.c.updated)
            .limit(p("limit", type_=sa.Integer))
            .offset(NO_OFFSET)
        )
    )
    .returning(s.jobs.c.job_id)
)
# By the primary key, from one to the next: no index leads to a caller's final jobs, and a removed caller is no reason for one.
final_jobs = (
    sa.select(s.jobs.c.job_id)
    .where(s.final, s.jobs.c.caller_id == p("caller_id"), s.jobs.c.job_id > p("after"))
    .order_by(s.jobs.c.job_id)
    .limit(p("limit", type_=sa.Integer))
    .offset(NO_OFFSET)
)
delete_final_job = sa.delete(s.jobs).where(s.jobs.c.job_id == p("job_id"), s.final)
prune_keys = (
    sa.delete(s.request_keys)
    .where(s.request_keys.c.created < p("before"))
    .returning(s.request_keys.c.request_key)
)
known_uploads = sa.select(s.uploads.c.upload_key).where(
    s.uploads.c.upload_key.in_([p(f"key_{n}", type_=sa.Text) for n in range(UPLOADS_AT_ONCE)])
)
