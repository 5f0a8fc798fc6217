"""Callers, their API tokens and their accounts."""

import sqlalchemy as sa
from sqlalchemy import bindparam as p

from pikarelay.store import schema as s
from pikarelay.store.statements.insert import Insert

_api_token_columns = (
    s.api_tokens.c.token_id,
    s.api_tokens.c.caller_id,
    s.api_tokens.c.hint,
    s.api_tokens.c.created,
    s.api_tokens.c.revoked,
    s.api_tokens.c.scopes,
    s.api_tokens.c.expires,
    s.api_tokens.c.last_used,
)

# Callers. The look-up by digest is on the way of each request: one unique index, one row, one primary key.
holder = (
    sa.select(*_api_token_columns, *s.callers.c)
    .join_from(s.api_tokens, s.callers, s.api_tokens.c.caller_id == s.callers.c.caller_id)
    .where(s.api_tokens.c.digest == p("digest"), s.api_tokens.c.revoked.is_(None))
)
add_caller = Insert(s.callers, returning=s.callers.c.caller_id)
# A change names what it changes and nothing else: whoever asks has read the row a while ago, and it may be another by now, or gone.
set_reply_url = (
    sa.update(s.callers)
    .values(reply_url=p("reply_url"))
    .where(s.callers.c.caller_id == p("this_caller"))
    .returning(*s.callers.c)
)
set_subscription = (
    sa.update(s.callers)
    .values(has_subscription=p("has_subscription"), subscribed_until=p("subscribed_until"))
    .where(s.callers.c.caller_id == p("this_caller"))
    .returning(*s.callers.c)
)
callers = sa.select(*s.callers.c).order_by(s.callers.c.created, s.callers.c.caller_id)
# Whoever gives out the first token waits here for whoever does so too.
lock_caller_named = sa.select(s.callers.c.caller_id).where(s.callers.c.name == p("name")).with_for_update()
caller_named = sa.select(*s.callers.c).where(s.callers.c.name == p("name"))
# Whoever adds something to a caller keeps it from being removed until that is committed, and whoever removes it lets no other begin.
# Always before anything else of the caller is locked, so that none of them waits for another in a circle.
_this_caller = sa.select(s.callers.c.caller_id).where(s.callers.c.caller_id == p("caller_id"))
keep_caller = _this_caller.with_for_update(read=True, key_share=True)
lock_caller = _this_caller.with_for_update()
remove_caller = sa.delete(s.callers).where(s.callers.c.caller_id == p("caller_id"))
remove_api_tokens = sa.delete(s.api_tokens).where(s.api_tokens.c.caller_id == p("caller_id"))
remove_accounts = sa.delete(s.accounts).where(s.accounts.c.caller_id == p("caller_id"))
add_api_token = Insert(s.api_tokens, returning=s.api_tokens.c.token_id)
api_tokens = sa.select(*_api_token_columns).order_by(s.api_tokens.c.created, s.api_tokens.c.token_id)
# The condition on `revoked` keeps the time of the first revocation.
revoke_api_token = (
    sa.update(s.api_tokens)
    .values(revoked=p("now"))
    .where(s.api_tokens.c.token_id == p("this_token"), s.api_tokens.c.revoked.is_(None))
    .returning(s.api_tokens.c.token_id)
)
revoke_api_tokens_of = (
    sa.update(s.api_tokens)
    .values(revoked=p("now"))
    .where(s.api_tokens.c.caller_id == p("this_caller"), s.api_tokens.c.revoked.is_(None))
    .returning(s.api_tokens.c.token_id)
)
# Several servers write here, each what it has seen.
note_use = (
    sa.update(s.api_tokens)
    .values(last_used=p("used"))
    .where(
        s.api_tokens.c.token_id == p("this_token"),
        sa.or_(s.api_tokens.c.last_used.is_(None), s.api_tokens.c.last_used < p("used")),
    )
)

# Accounts.
put_account = Insert(
    s.accounts,
    key=(s.accounts.c.caller_id, s.accounts.c.channel),
    replace=(s.accounts.c.discord_token, s.accounts.c.max_jobs, s.accounts.c.updated),
)
_this_account = sa.and_(s.accounts.c.caller_id == p("caller_id"), s.accounts.c.channel == p("channel"))
account = sa.select(*s.accounts.c).where(_this_account)
accounts_of_caller = (
    sa.select(*s.accounts.c).where(s.accounts.c.caller_id == p("caller_id")).order_by(s.accounts.c.channel)
)
accounts = sa.select(*s.accounts.c).order_by(s.accounts.c.channel, s.accounts.c.caller_id)
delete_account = sa.delete(s.accounts).where(_this_account).returning(s.accounts.c.channel)
