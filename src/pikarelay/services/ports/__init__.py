"""
What the services need from the outside, as Protocols. Adapters on floor 3 provide them; fakes in the tests do too.

Each method of `Store` is one transaction: when it returns, what it wrote survives a power cut; when it raises,
nothing was written.
"""

from typing import Protocol

from pikarelay.services.ports.announcements import Announcement, Announcer, Hear, News
from pikarelay.services.ports.answers import AnswerStore, Giving, Refusal
from pikarelay.services.ports.callbacks import (
    Callback,
    CallbackDraft,
    CallbackOutcome,
    CallbackSecret,
    CallbackSender,
    CallbackStore,
    DecideOutcome,
    Delivery,
    TargetGuard,
)
from pikarelay.services.ports.callers import ApiToken, CallerStore, Holder
from pikarelay.services.ports.condition import Condition, Figures, WatchedStore
from pikarelay.services.ports.discord import (
    AccountsWatcher,
    ButtonPress,
    Command,
    CommandRun,
    Discord,
    Identity,
    UploadedFile,
)
from pikarelay.services.ports.files import FileToUpload, UploadKeeper, UploadReader
from pikarelay.services.ports.health import AccountsHealth, HealthStore
from pikarelay.services.ports.jobs import (
    KEY_LIFETIME,
    Change,
    JobStore,
    KeyedJob,
    KeyTaken,
    MessageTaken,
    Sightings,
)
from pikarelay.services.ports.keys import KeyFacts, KeyStore, Resealed
from pikarelay.services.ports.mirror import (
    CopyFailed,
    CopyOutcome,
    CopyPlan,
    Download,
    FileSource,
    Mirror,
    MirrorStore,
)
from pikarelay.services.ports.orphans import Orphan, OrphanReason, OrphanStore
from pikarelay.services.ports.ownership import Hold, Holds, Member, NotHeld, OwnershipStore, Sign
from pikarelay.services.ports.sessions import KeptSession, Sessions, SessionStore
from pikarelay.services.ports.system import Clock, Ids

__all__ = [
    "KEY_LIFETIME",
    "AccountsHealth",
    "AccountsWatcher",
    "Announcement",
    "Announcer",
    "AnswerStore",
    "ApiToken",
    "ButtonPress",
    "Callback",
    "CallbackDraft",
    "CallbackOutcome",
    "CallbackSecret",
    "CallbackSender",
    "CallbackStore",
    "CallerStore",
    "Change",
    "Clock",
    "Command",
    "CommandRun",
    "Condition",
    "CopyFailed",
    "CopyOutcome",
    "CopyPlan",
    "DecideOutcome",
    "Delivery",
    "Discord",
    "Download",
    "Figures",
    "FileSource",
    "FileToUpload",
    "Giving",
    "HealthStore",
    "Hear",
    "Hold",
    "Holder",
    "Holds",
    "Identity",
    "Ids",
    "JobStore",
    "KeptSession",
    "KeyFacts",
    "KeyStore",
    "KeyTaken",
    "KeyedJob",
    "Member",
    "MessageTaken",
    "Mirror",
    "MirrorStore",
    "News",
    "NotHeld",
    "Orphan",
    "OrphanReason",
    "OrphanStore",
    "OwnershipStore",
    "Refusal",
    "Resealed",
    "SessionStore",
    "Sessions",
    "Sightings",
    "Sign",
    "Store",
    "TargetGuard",
    "UploadKeeper",
    "UploadReader",
    "UploadedFile",
    "WatchedStore",
]


class Store(
    CallerStore,
    JobStore,
    AnswerStore,
    OrphanStore,
    SessionStore,
    HealthStore,
    CallbackStore,
    MirrorStore,
    WatchedStore,
    Announcer,
    Protocol,
):
    """Everything that must outlive the process."""
