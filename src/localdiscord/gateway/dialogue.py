"""
The opcodes: what a client may say, in which order, and what it is answered.

Close codes and limits from Discord's documentation, as of 2026-08. A dialogue ends by `Hangup`, which carries
the close code; the edge closes the socket.
"""

from dataclasses import dataclass
from typing import Any, NoReturn

import msgspec

from localdiscord.faults.model import NoAcks, ShrinkReplay
from localdiscord.gateway.connection import Socket
from localdiscord.limits.violations import Violation
from localdiscord.limits.windows import SlidingCount
from localdiscord.wire.users import member_object
from localdiscord.world.models import Json
from localdiscord.world.ready import PRIORITIZED_READY_PAYLOAD
from localdiscord.world.sessions import ASK_HEARTBEAT, Event, Session, Timer, invalid_session
from localdiscord.world.world import World

UNKNOWN_OPCODE = 4001
DECODE_ERROR = 4002
NOT_AUTHENTICATED = 4003
AUTHENTICATION_FAILED = 4004
ALREADY_AUTHENTICATED = 4005
INVALID_SEQUENCE = 4007
RATE_LIMITED = 4008
SESSION_TIMED_OUT = 4009
INVALID_INTENTS = 4013
TOO_MANY_SESSIONS = 4015

HEARTBEAT = 1
IDENTIFY = 2
RESUME = 6
REQUEST_MEMBERS = 8
GUILD_SUBSCRIPTIONS = 14
GUILD_SUBSCRIPTIONS_BULK = 37
QOS_HEARTBEAT = 40
#: Presence, voice, calls, streams and the rest of what official clients say: taken without an answer.
SILENT = frozenset({3, 4, 5, 12, 13, *range(16, 37), 38, 39, 41, 42, 43})
ACK = b'{"op":11,"d":null,"s":null,"t":null}'
EARLY_ANSWER_SECONDS = 5.0

decode = msgspec.json.Decoder().decode
encode = msgspec.json.Encoder().encode


class Hangup(Exception):
    """The server closes the connection with this code."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


@dataclass(frozen=True, slots=True)
class Terms:
    """What the client asked for in its query, whence it came, and where resumes go."""

    version: int
    resume_url: str
    #: The client's address.
    remote: str


class Dialogue:
    """The state of one connection."""

    def __init__(self, world: World, socket: Socket, terms: Terms) -> None:
        self._world = world
        self._socket = socket
        self._terms = terms
        self._frames = SlidingCount(world.rules.frames_per_minute, 60.0)
        self._deadline: Timer | None = None
        #: None until IDENTIFY or RESUME succeeded.
        self.session: Session | None = None

    # --- heartbeats -------------------------------------------------------------------------------------

    def begin(self) -> None:
        """Say hello and start to expect heartbeats."""
        interval = int(self._world.rules.heartbeat_interval * 1000)
        hello = {
            "op": 10,
            "d": {"heartbeat_interval": interval, "_trace": ["localdiscord"]},
            "s": None,
            "t": None,
        }
        self._socket.send(encode(hello))
        self._expect_heartbeat()

    def end(self) -> None:
        """Stop expecting heartbeats."""
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def ask_heartbeat(self) -> None:
        """Ask for a heartbeat now; the client has to answer at once."""
        self._socket.send(ASK_HEARTBEAT)
        self._expect_heartbeat(EARLY_ANSWER_SECONDS)

    def _expect_heartbeat(self, seconds: float | None = None) -> None:
        self.end()
        rules = self._world.rules
        wait = seconds or rules.heartbeat_interval * 1.5 + rules.heartbeat_grace
        self._deadline = self._world.later(wait, self._heart_stopped)

    def _heart_stopped(self) -> None:
        self._deadline = None
        self._count(Violation.HEARTBEAT_MISSED)
        if self.session is not None:
            self._world.sessions.end(self.session)
        self._socket.close(SESSION_TIMED_OUT)

    def _heartbeat(self) -> None:
        self._expect_heartbeat()
        facts: dict[str, str | None] = {}
        if self.session is not None:
            facts = dict(self._world.sessions.facts(self.session))
        if self._world.faults.strike("gateway", NoAcks, facts) is None:
            self._socket.send(ACK)

    # --- hearing ----------------------------------------------------------------------------------------

    def hear(self, frame: bytes) -> None:
        """Take one frame of the client; raise `Hangup` to end the connection."""
        if self._frames.add(self._world.monotonic()):
            self._refuse(Violation.FRAME_RATE_EXCEEDED, RATE_LIMITED)
        if len(frame) > self._world.rules.frame_limit:
            self._refuse(Violation.FRAME_TOO_LARGE, DECODE_ERROR)
        op, payload = self._read(frame)
        if op in {HEARTBEAT, QOS_HEARTBEAT}:
            self._heartbeat()
        elif op in {IDENTIFY, RESUME}:
            self._log_in(op, payload)
        elif self.session is None:
            self._refuse(Violation.NOT_IDENTIFIED, NOT_AUTHENTICATED)
        elif op == REQUEST_MEMBERS:
            self._request_members(self.session, payload)
        elif op in {GUILD_SUBSCRIPTIONS, GUILD_SUBSCRIPTIONS_BULK}:
            self._subscribe(self.session, op, payload)
        elif op not in SILENT:
            self._refuse(Violation.OPCODE_UNKNOWN, UNKNOWN_OPCODE, op=op)

    def _read(self, frame: bytes) -> tuple[int, Any]:
        try:
            message = decode(frame)
            op, payload = message["op"], message.get("d")
        except (msgspec.DecodeError, UnicodeDecodeError, TypeError, KeyError, AttributeError):
            self._refuse(Violation.FRAME_UNREADABLE, DECODE_ERROR)
        if not isinstance(op, int):
            self._refuse(Violation.FRAME_UNREADABLE, DECODE_ERROR)
        return op, payload

    def _log_in(self, op: int, payload: Any) -> None:
        if self.session is not None:
            self._refuse(Violation.IDENTIFIED_TWICE, ALREADY_AUTHENTICATED)
        if not isinstance(payload, dict) or not isinstance(payload.get("token"), str):
            self._refuse(Violation.FRAME_UNREADABLE, DECODE_ERROR)
        user = self._world.directory.user_of(payload["token"])
        if user is None:
            if not self._world.refused.first_time(payload["token"]):
                self._count(Violation.REFUSED_TOKEN_REUSED, op=op)
            raise Hangup(AUTHENTICATION_FAILED)
        if op == RESUME:
            self._resume(user.id, payload)
        else:
            self._identify(user.id, payload)

    # --- identify and resume ----------------------------------------------------------------------------

    def _identify(self, user_id: int, payload: Json) -> None:
        world = self._world
        user = world.directory.users[user_id]
        intents = payload.get("intents")
        if (user.bot and intents is None) or not isinstance(intents, int | None):
            raise Hangup(INVALID_INTENTS)
        if not world.sessions.may_identify(user_id, world.monotonic()):
            self._count(Violation.IDENTIFY_TOO_FAST, user_id=str(user_id))
            self._socket.send(invalid_session(resumable=False))
            return
        if len(world.sessions.of(user_id)) >= world.rules.sessions_per_user:
            self._refuse(Violation.TOO_MANY_SESSIONS, TOO_MANY_SESSIONS)
        if payload.get("compress") is True:
            self._socket.compress_payloads()
        session = world.sessions.open(user, intents=intents)
        world.sessions.attach(session, self._socket)
        self.session = session
        whose = {"session_id": session.id, "user_id": str(user_id), "remote": self._terms.remote}
        world.ledger.note("identified", **whose)
        if user.bot:
            self._greet_bot(session, payload)
        else:
            self._greet_user(session, payload)

    def _greet_bot(self, session: Session, payload: Json) -> None:
        greeting, audience = self._world.greeting, self._world.audience
        ready = greeting.bot_ready(
            session,
            version=self._terms.version,
            resume_url=self._terms.resume_url,
            shard=payload.get("shard"),
        )
        audience.tell(session, "READY", ready)
        for guild in self._world.directory.guilds_of(session.user.id):
            self._world.announce_guild(guild, session)

    def _greet_user(self, session: Session, payload: Json) -> None:
        greeting, audience = self._world.greeting, self._world.audience
        capabilities = payload.get("capabilities")
        capabilities = capabilities if isinstance(capabilities, int) else 0
        ready = greeting.user_ready(
            session, capabilities, version=self._terms.version, resume_url=self._terms.resume_url
        )
        audience.tell(session, "READY", ready)
        if capabilities & PRIORITIZED_READY_PAYLOAD:
            audience.tell(session, "READY_SUPPLEMENTAL", greeting.supplemental(session))

    def _resume(self, user_id: int, payload: Json) -> None:
        sessions = self._world.sessions
        session = sessions.get(str(payload.get("session_id")))
        seq = payload.get("seq")
        if session is None or session.user.id != user_id or not isinstance(seq, int):
            self._refuse_resume(user_id)
            return
        if seq > session.seq:
            sessions.end(session)
            sessions.forgive_identify(user_id)
            self._refuse(Violation.SEQUENCE_INVALID, INVALID_SEQUENCE, seq=seq)
        if shrink := self._world.faults.strike("gateway", ShrinkReplay, sessions.facts(session)):
            session.shrink(shrink.size)
        missed = session.missed(seq)
        if missed is None:
            sessions.end(session)
            self._refuse_resume(user_id)
            return
        sessions.attach(session, self._socket)
        self.session = session
        for frame, event in missed:
            self._socket.send(frame, event)
        session.push(Event("RESUMED", encode({"_trace": ["localdiscord"]})))
        whose = {"session_id": session.id, "user_id": str(user_id), "remote": self._terms.remote}
        self._world.ledger.note("resumed", **whose, replayed=len(missed))

    def _refuse_resume(self, user_id: int) -> None:
        """Say that the session is gone: to start anew soon is what the client is then told to do."""
        self._world.sessions.forgive_identify(user_id)
        self._socket.send(invalid_session(resumable=False))

    # --- the rest ---------------------------------------------------------------------------------------

    def _subscribe(self, session: Session, op: int, payload: Any) -> None:
        if not isinstance(payload, dict):
            return
        if op == GUILD_SUBSCRIPTIONS:
            guilds = [payload.get("guild_id")]
        else:
            guilds = list(payload.get("subscriptions") or ())
        session.subscribed |= {int(str(each)) for each in guilds if str(each).isdigit()}

    def _request_members(self, session: Session, payload: Any) -> None:
        if not isinstance(payload, dict):
            return
        wanted = payload.get("guild_id")
        for each in wanted if isinstance(wanted, list) else [wanted]:
            guild = self._world.directory.guilds.get(int(str(each))) if str(each).isdigit() else None
            if guild is None or session.user.id not in guild.member_ids:
                continue
            users = [self._world.directory.users[member] for member in guild.member_ids]
            asked = payload.get("user_ids")
            asked = {str(one) for one in asked} if isinstance(asked, list) else None
            chunk: Json = {
                "guild_id": str(guild.id),
                "members": [
                    member_object(user, guild) for user in users if asked is None or str(user.id) in asked
                ],
                "chunk_index": 0,
                "chunk_count": 1,
                "not_found": [],
                "presences": [],
            }
            if payload.get("nonce") is not None:
                chunk["nonce"] = payload["nonce"]
            self._world.audience.tell(session, "GUILD_MEMBERS_CHUNK", chunk)

    def _count(self, kind: Violation, **details: Any) -> None:
        user_id = None if self.session is None else str(self.session.user.id)
        self._world.violations.count(kind, **{"user_id": user_id, **details})

    def _refuse(self, kind: Violation, code: int, **details: Any) -> NoReturn:
        self._count(kind, **details)
        raise Hangup(code)
