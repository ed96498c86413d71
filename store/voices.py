"""Voices: people's recordings that syntheses, renderings and dialogues may speak with.

A voice is as ready as the request that enrols it: the commit that publishes the cleaned recording is the one that makes it ready.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import delete, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from store import requests
from store.errors import VoiceExistsError, VoiceInUseError, VoiceNotFoundError
from store.models import OPEN, Event, Json, Removal, Request, State, Voice, VoiceState

REFERENCE = "reference"
"""The output of the enrolment that is spoken with."""

_ALL = select(Voice, Request).join(Request, Request.id == Voice.request_id)


@dataclass(frozen=True)
class Enrolled:
    """A voice and how its enrolment stands."""

    voice: Voice
    request: Request

    @property
    def state(self) -> VoiceState:
        if self.request.state == State.SUCCEEDED:
            return VoiceState.READY
        return VoiceState.PENDING if self.request.state in OPEN else VoiceState.FAILED

    @property
    def error(self) -> tuple[str, str] | None:
        """Code and sentence of one that failed."""
        if self.state != VoiceState.FAILED:
            return None
        if self.request.error_code is None:
            return "cancelled", "its enrolment was cancelled"
        return self.request.error_code, self.request.error_message or ""

    @property
    def checks(self) -> Json | None:
        """What the enrolment measured: seconds, share of speech, similarity…"""
        return (self.request.result or {}).get("voice")

    @property
    def reference(self) -> Mapping[str, Any] | None:
        """Key, size and sha256 of the cleaned recording."""
        found: Json = (self.request.result or {}).get("outputs", {})
        return found.get(REFERENCE)


def get(session: Session, owner: str, name: str, keep: bool = False) -> Enrolled:
    """`keep`: it cannot be deleted until the transaction ends. Raises VoiceNotFoundError."""
    query = _ALL.where(Voice.owner == owner, Voice.name == name)
    row = session.execute(query.with_for_update(read=True, key_share=True) if keep else query).first()
    if row is None:
        raise VoiceNotFoundError(f"there is no voice {name!r}")
    return Enrolled(row[0], row[1])


def listed(session: Session, owner: str, limit: int = 100, after: str = "") -> list[Enrolled]:
    """By name, those after `after`."""
    query = _ALL.where(Voice.owner == owner, Voice.name > after).order_by(Voice.name).limit(limit)
    return [Enrolled(row[0], row[1]) for row in session.execute(query)]


def check_vacant(session: Session, owner: str, name: str) -> None:
    """Raises VoiceExistsError unless the name is free, or held by a voice whose enrolment came to nothing."""
    row = session.execute(_ALL.where(Voice.owner == owner, Voice.name == name).with_for_update(of=Voice)).first()
    if row is not None and Enrolled(row[0], row[1]).state != VoiceState.FAILED:
        raise VoiceExistsError(f"there is a voice {name!r} already: delete it first, or take another name")


def enrol(session: Session, request: Request, name: str, title: str | None, consent: Json) -> Voice:
    """The voice that `request` enrols, after `check_vacant`; one that has failed makes room. Raises VoiceExistsError."""
    row = insert(Voice).values(owner=request.owner, name=name, title=title, consent=consent, request_id=request.id)
    changes = {column: row.excluded[column] for column in ("title", "consent", "request_id")}
    over = select(Request.id).where(Request.id == Voice.request_id, Request.state.in_((State.FAILED, State.CANCELLED))).exists()
    query = row.on_conflict_do_update(index_elements=["owner", "name"], set_=changes, where=over).returning(Voice)
    voice = session.scalar(query, execution_options={"populate_existing": True})
    if voice is None:  # somebody took the name in between
        raise VoiceExistsError(f"there is a voice {name!r} already: delete it first, or take another name")
    return voice


def remove(session: Session, owner: str, name: str) -> None:
    """Deletes the voice and its enrolment; their objects follow. Events stay. Raises VoiceNotFoundError, VoiceInUseError."""
    row = session.execute(_ALL.where(Voice.owner == owner, Voice.name == name).with_for_update()).first()
    if row is None:
        raise VoiceNotFoundError(f"there is no voice {name!r}")
    found = Enrolled(row[0], row[1])
    pending = [found.request.id] if found.state == VoiceState.PENDING else []
    if in_use := pending or requests.users(session, owner, [f"request:{found.request.id}"]):
        raise VoiceInUseError(f"voice {name!r} is in use by request {in_use[0]}; cancel that or let it end")
    session.add(Removal(owner=owner, prefix=f"requests/{found.request.id}/"))
    session.add(Event(subject=found.voice.id, owner=owner, type="voice_deleted", data={"name": name}))
    session.execute(delete(Request).where(Request.id == found.request.id))  # and with it the voice
