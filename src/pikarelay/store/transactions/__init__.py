"""
Each transaction, written once: a generator that yields a statement's name with its parameters and receives its rows.

It knows no driver. A runner opens a transaction, feeds the generator, and commits when it returns; when it raises, the
runner rolls back and passes the exception on. On SQLite write transactions run one at a time; on PostgreSQL they
run side by side, so each locks what it decides about *before* it reads what the decision rests on, in a statement of
its own: a count in the locking statement would still see the time before the lock.
"""

from pikarelay.store.transactions import (
    answers,
    callbacks,
    callers,
    figures,
    files,
    health,
    jobs,
    mirror,
    orphans,
    ownership,
    sessions,
    vault,
)
from pikarelay.store.transactions.form import Transaction

__all__ = [
    "Transaction",
    "answers",
    "callbacks",
    "callers",
    "figures",
    "files",
    "health",
    "jobs",
    "mirror",
    "orphans",
    "ownership",
    "sessions",
    "vault",
]
