"""The tables. PostgreSQL is the truth; `store/migrations` makes them.

Every row has an `owner` (`local` until there are accounts). Times are UTC. Deleting a face or voice deletes its rows, not its
events.
"""

from datetime import datetime
from enum import StrEnum
from typing import Any, ClassVar
from uuid import UUID

from sqlalchemy import BigInteger, CheckConstraint, DateTime, ForeignKey, Identity, Index, UniqueConstraint, func, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from store import ids

Json = dict[str, Any]


class Kind(StrEnum):
    """What a request asks for."""

    TRAINING = "training"
    RENDERING = "rendering"
    EVALUATION = "evaluation"
    SYNTHESIS = "synthesis"
    DIALOGUE = "dialogue"


class State(StrEnum):
    """queued → submitted → running → succeeded | failed | cancelled; a final state never changes."""

    QUEUED = "queued"
    SUBMITTED = "submitted"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


class VoiceState(StrEnum):
    """A voice is pending while its recording is examined."""

    PENDING = "pending"
    READY = "ready"
    FAILED = "failed"


FINAL = (State.SUCCEEDED, State.FAILED, State.CANCELLED)
ACTIVE = (State.SUBMITTED, State.RUNNING)
OPEN = (State.QUEUED, *ACTIVE)
"""Asked for by these names, not as those that are not final, open requests are found by their own small index."""


class AssetState(StrEnum):
    """A pending asset has a row and an upload link, a ready one has been read and checked."""

    PENDING = "pending"
    READY = "ready"


class Base(DeclarativeBase):
    """All tables; JSON columns are jsonb, times carry their zone."""

    type_annotation_map: ClassVar = {Json: JSONB, list[Json]: JSONB, datetime: DateTime(timezone=True)}


class Request(Base):
    """One thing asked for. `spec` is the validated body with its references resolved to objects."""

    __tablename__ = "requests"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=ids.new)
    owner: Mapped[str]
    kind: Mapped[str]
    state: Mapped[str] = mapped_column(default=State.QUEUED)
    spec: Mapped[Json]
    uses: Mapped[list[str]] = mapped_column(JSONB, default=list)
    """What must not be deleted before this ends: `asset:<id>`, `request:<id>`, `video:<sha256>`."""
    avatar: Mapped[str | None]
    avatar_version: Mapped[int | None]
    conversation: Mapped[UUID | None]
    """Of a dialogue: the conversation that it is a turn of."""
    attempt: Mapped[int] = mapped_column(default=0)
    tries: Mapped[int] = mapped_column(default=0)
    """Counted tries that failed (exit 75, crashes)."""
    disruptions: Mapped[int] = mapped_column(default=0)
    """Attempts lost through no fault of the request; not counted as tries."""
    next_try_at: Mapped[datetime | None]
    stage: Mapped[str | None]
    progress: Mapped[float] = mapped_column(default=0.0)
    eta_seconds: Mapped[float | None]
    waiting_reason: Mapped[str | None]
    error_code: Mapped[str | None]
    error_message: Mapped[str | None]
    result: Mapped[Json | None]
    """{"outputs": {name: {"key", "size", "sha256"}}, "scores": …, "turn": …, "voice": …}, once published."""
    cancel_requested_at: Mapped[datetime | None]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]

    __table_args__ = (
        CheckConstraint("progress >= 0 AND progress <= 1", name="requests_progress"),
        # Pages run newest first; UUIDv7 sorts by time, so the id is the whole key.
        Index("requests_page", "owner", text("id DESC")),
        Index("requests_kind_page", "owner", "kind", text("id DESC")),
        Index("requests_avatar_page", "owner", "avatar", text("id DESC")),
        Index("requests_state_page", "owner", "state", text("id DESC")),
        Index("requests_kind_state_page", "owner", "kind", "state", text("id DESC")),
        Index("requests_conversation", "conversation", "id", postgresql_where=text("conversation IS NOT NULL")),
        Index("requests_open", "id", postgresql_where=text("state IN ('queued', 'submitted', 'running')")),
    )


class Attempt(Base):
    """One try at a request = one Job. The first run (pod) to claim it owns it."""

    __tablename__ = "attempts"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=ids.new)
    request_id: Mapped[UUID] = mapped_column(ForeignKey("requests.id", ondelete="CASCADE"))
    owner: Mapped[str]
    number: Mapped[int]
    job_name: Mapped[str] = mapped_column(unique=True)
    job_uid: Mapped[str | None]
    """Set once the cluster has acknowledged the Job: from then on, a Job that is not there was lost."""
    run: Mapped[str | None]
    step: Mapped[str | None]
    outcome: Mapped[str | None]
    """Why it ended: succeeded, failed, cancelled, retry, disrupted."""
    error_code: Mapped[str | None]
    error_message: Mapped[str | None]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    claimed_at: Mapped[datetime | None]
    reported_at: Mapped[datetime | None]
    ended_at: Mapped[datetime | None]
    cleaned_at: Mapped[datetime | None]
    """When the controller saw that its Job is gone."""

    __table_args__ = (
        UniqueConstraint("request_id", "number"),
        Index("attempts_uncleaned", "created_at", postgresql_where=text("cleaned_at IS NULL")),
    )


class Event(Base):
    """Something that happened to a request, or to an avatar or asset (`subject` is its id); append-only, and outlives it."""

    __tablename__ = "events"

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    subject: Mapped[UUID]
    owner: Mapped[str]
    at: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp())
    type: Mapped[str]
    data: Mapped[Json]

    __table_args__ = (Index("events_subject", "subject", "id"),)


class Asset(Base):
    """An uploaded video or audio."""

    __tablename__ = "assets"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=ids.new)
    owner: Mapped[str]
    filename: Mapped[str]
    state: Mapped[str] = mapped_column(default=AssetState.PENDING)
    format: Mapped[str | None]
    """Container by its signature, once ready."""
    key: Mapped[str]
    size: Mapped[int] = mapped_column(BigInteger)
    sha256: Mapped[str | None]
    etag: Mapped[str | None]
    """The checked object's; another one means that it was exchanged afterwards."""
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    completed_at: Mapped[datetime | None]

    __table_args__ = (
        Index("assets_page", "owner", text("id DESC")),
        Index("assets_pending", "created_at", postgresql_where=text("state = 'pending'")),
    )


class Avatar(Base):
    """A person's trained model, named by the user."""

    __tablename__ = "avatars"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=ids.new)
    owner: Mapped[str]
    name: Mapped[str]
    title: Mapped[str | None]
    consent: Mapped[Json]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())

    __table_args__ = (UniqueConstraint("owner", "name"),)


class AvatarVersion(Base):
    """One training's result. Its objects lie under `prefix`."""

    __tablename__ = "avatar_versions"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=ids.new)
    avatar_id: Mapped[UUID] = mapped_column(ForeignKey("avatars.id", ondelete="CASCADE"))
    owner: Mapped[str]
    version: Mapped[int]
    request_id: Mapped[UUID]
    prefix: Mapped[str]
    files: Mapped[list[Json]]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())

    __table_args__ = (UniqueConstraint("avatar_id", "version"),)


class Voice(Base):
    """A person's voice, named by the user. How it stands, and the cleaned recording, are those of the request that enrols it."""

    __tablename__ = "voices"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=ids.new)
    owner: Mapped[str]
    name: Mapped[str]
    title: Mapped[str | None]
    consent: Mapped[Json]
    request_id: Mapped[UUID] = mapped_column(ForeignKey("requests.id", ondelete="CASCADE"))
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())

    __table_args__ = (UniqueConstraint("owner", "name"), Index("voices_request", "request_id"))


class Dataset(Base):
    """A preprocessed video, found again by the next training of the same video with the same options."""

    __tablename__ = "datasets"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=ids.new)
    owner: Mapped[str]
    video_sha256: Mapped[str]
    version: Mapped[int]
    options_hash: Mapped[str]
    request_id: Mapped[UUID]
    prefix: Mapped[str]
    files: Mapped[list[Json]]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())

    __table_args__ = (UniqueConstraint("owner", "video_sha256", "version", "options_hash"),)


class Checkpoint(Base):
    """A training's state on its way; the last two are kept, the next attempt resumes from the last."""

    __tablename__ = "checkpoints"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=ids.new)
    request_id: Mapped[UUID] = mapped_column(ForeignKey("requests.id", ondelete="CASCADE"))
    owner: Mapped[str]
    attempt: Mapped[int]
    name: Mapped[str]
    step: Mapped[int]
    prefix: Mapped[str]
    files: Mapped[list[Json]]
    created_at: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp())

    __table_args__ = (UniqueConstraint("request_id", "attempt", "name"), Index("checkpoints_request", "request_id", "created_at"))


class IdempotencyKey(Base):
    """The answer that a POST with this key got; good for 24 h."""

    __tablename__ = "idempotency_keys"

    owner: Mapped[str] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(primary_key=True)
    body_sha256: Mapped[str]
    status: Mapped[int | None]
    """Written with the key; version 0.1.0 did so in a second statement of the same commit."""
    headers: Mapped[Json | None]
    body: Mapped[Json | None]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())

    __table_args__ = (Index("idempotency_keys_age", "created_at"),)


class Removal(Base):
    """Objects to delete: written in the commit that made them unreachable, removed once they are gone."""

    __tablename__ = "removals"

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    owner: Mapped[str]
    prefix: Mapped[str]
    keep: Mapped[list[str]] = mapped_column(JSONB, default=list)
    """Prefixes under `prefix` that stay."""
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
