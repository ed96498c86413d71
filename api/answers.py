"""What people get: the answers' shapes, and how they are made from rows."""

from datetime import UTC, datetime
from typing import Any, Literal
from uuid import UUID

from pydantic import BaseModel, Field

from api.platform import Platform
from store.conversations import Turn
from store.models import Asset, AssetState, Attempt, Avatar, AvatarVersion, Event, Kind, Request, State, VoiceState
from store.objects import LINK_LIFE, Objects
from store.voices import Enrolled

_HIDDEN = ("inputs", "dataset", "history")
"""What a spec holds for the platform alone."""


class ErrorAnswer(BaseModel):
    """Why it failed."""

    code: str
    message: str


class AttemptAnswer(BaseModel):
    """One try."""

    number: int
    job: str = Field(description="Name of the Job in the cluster")
    step: str | None
    outcome: str | None = Field(description="succeeded, failed, cancelled, retry or disrupted; null: it goes on")
    error: ErrorAnswer | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None


class Output(BaseModel):
    """A file that the request made."""

    url: str = Field(description="Good for an hour")
    filename: str
    size: int
    sha256: str


class RequestAnswer(BaseModel):
    """A request: what was asked for, how far it is, what came of it."""

    id: UUID
    kind: Kind
    state: State
    avatar: str | None
    version: int | None = Field(description="The avatar's version that is read or, for a training that has succeeded, made")
    stage: str | None
    progress: float = Field(ge=0, le=1, description="Over the whole Job")
    eta_seconds: float | None
    waiting_reason: str | None
    place: int | None = Field(description="In the queue, from 1")
    attempt: int = Field(description="0: not tried yet")
    error: ErrorAnswer | None
    cancel_requested_at: datetime | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    next_try_at: datetime | None
    spec: dict[str, Any] = Field(description="What was asked for, with defaults, and the Job's steps")
    outputs: dict[str, Output]
    scores: dict[str, Any] | None
    conversation: UUID | None = Field(description="Of a dialogue: what the next one names to go on with it")
    turn: dict[str, Any] | None = Field(description="Of a dialogue: question, reply, transcript, language, model")
    attempts: list[AttemptAnswer] | None = Field(description="Null in lists")
    kubectl_logs: str | None = Field(description="The command that shows its Jobs' logs in the cluster; null: they run elsewhere")


class RequestPage(BaseModel):
    """Newest first."""

    items: list[RequestAnswer]
    cursor: str | None = Field(description="For the next page; null: this was the last")


class EventAnswer(BaseModel):
    """Something that happened."""

    id: int
    at: datetime
    type: str
    data: dict[str, Any]


class EventPage(BaseModel):
    """Oldest first."""

    items: list[EventAnswer]
    after: int = Field(description="What to ask for next with `after`")


class VersionAnswer(BaseModel):
    """One trained model."""

    version: int
    request: UUID = Field(description="The training that made it")
    created_at: datetime


class AvatarAnswer(BaseModel):
    """A person."""

    name: str
    title: str | None
    consent: dict[str, Any]
    ready: bool = Field(description="Whether it has a version")
    versions: list[VersionAnswer] = Field(description="Newest first")
    created_at: datetime


class AvatarPage(BaseModel):
    """By name."""

    items: list[AvatarAnswer]
    cursor: str | None


class VoiceAnswer(BaseModel):
    """A person's voice."""

    name: str
    title: str | None
    consent: dict[str, Any]
    state: VoiceState
    request: UUID = Field(description="Its enrolment")
    error: ErrorAnswer | None = Field(description="Why it failed")
    checks: dict[str, Any] | None = Field(description="What was measured: seconds, share of speech, clipping, similarity")
    url: str | None = Field(description="What is spoken with, to listen to; good for an hour")
    created_at: datetime


class VoicePage(BaseModel):
    """By name."""

    items: list[VoiceAnswer]
    built_in: list[str] = Field(description="Voices of the engine's own, where they are known: a…, b… speak English, z… Chinese")
    cursor: str | None


class TurnAnswer(BaseModel):
    """A question that was answered."""

    request: UUID = Field(description="The dialogue, with the video among its outputs")
    question: str
    reply: str
    finished_at: datetime | None


class ConversationAnswer(BaseModel):
    """What was said, oldest first."""

    id: UUID
    turns: list[TurnAnswer]
    under_way: UUID | None = Field(description="The dialogue that is being answered: until then, the conversation takes no other")
    cursor: str | None


class Upload(BaseModel):
    """Where to put the file, with one HTTP PUT."""

    url: str
    headers: dict[str, str]
    expires_at: datetime


class AssetAnswer(BaseModel):
    """An uploaded file."""

    id: UUID
    filename: str
    state: AssetState
    format: str | None = Field(description="Container by its signature")
    size: int
    sha256: str | None
    created_at: datetime
    completed_at: datetime | None
    upload: Upload | None = Field(description="While it is pending")
    url: str | None = Field(description="To read it, for an hour, once it is ready")


class AssetPage(BaseModel):
    """Newest first."""

    items: list[AssetAnswer]
    cursor: str | None


class Health(BaseModel):
    """All is well."""

    status: Literal["ok"]


def of_request(row: Request, here: Platform, attempts: list[Attempt] | None = None, place: int | None = None) -> RequestAnswer:
    """`place`: where it stands in the queue, if it is queued."""
    result = row.result or {}
    reason = f"place {place} in the queue" if place else row.waiting_reason
    return RequestAnswer(
        id=row.id, kind=Kind(row.kind), state=State(row.state), avatar=row.avatar, version=row.avatar_version, stage=row.stage,
        progress=row.progress, eta_seconds=row.eta_seconds, waiting_reason=reason, place=place, attempt=row.attempt,
        error=_error(row.error_code, row.error_message), cancel_requested_at=row.cancel_requested_at, created_at=row.created_at,
        started_at=row.started_at, finished_at=row.finished_at, next_try_at=row.next_try_at,
        spec={name: value for name, value in row.spec.items() if name not in _HIDDEN},
        outputs={name: _output(row, output, here.objects) for name, output in result.get("outputs", {}).items()},
        scores=result.get("scores"), conversation=row.conversation, turn=result.get("turn"),
        attempts=None if attempts is None else [_attempt(one) for one in attempts],
        kubectl_logs=_kubectl_logs(row, here.settings.namespace),
    )  # fmt: skip


def _kubectl_logs(row: Request, namespace: str | None) -> str | None:
    if namespace is None:
        return None
    return f"kubectl -n {namespace} logs -l geneface.io/request={row.id} --all-containers --prefix --ignore-errors --tail=-1"


def of_event(row: Event) -> EventAnswer:
    return EventAnswer(id=row.id, at=row.at, type=row.type, data=row.data)


def of_avatar(row: Avatar, versions: list[AvatarVersion]) -> AvatarAnswer:
    made = [VersionAnswer(version=one.version, request=one.request_id, created_at=one.created_at) for one in versions]
    return AvatarAnswer(
        name=row.name, title=row.title, consent=row.consent, ready=bool(made), versions=made, created_at=row.created_at
    )


def of_voice(found: Enrolled, objects: Objects) -> VoiceAnswer:
    row, reference = found.voice, found.reference
    url = None if reference is None else objects.get_link(reference["key"], public=True, filename=f"{row.name}.wav")
    return VoiceAnswer(
        name=row.name, title=row.title, consent=row.consent, state=found.state, request=row.request_id,
        error=_error(*(found.error or (None, None))), checks=found.checks, url=url, created_at=row.created_at,
    )  # fmt: skip


def of_turn(turn: Turn) -> TurnAnswer:
    return TurnAnswer(request=turn.request, question=turn.said["question"], reply=turn.said["reply"], finished_at=turn.at)


def of_asset(row: Asset, objects: Objects) -> AssetAnswer:
    """With the link that its state calls for."""
    pending = row.state == AssetState.PENDING
    upload = None
    if pending:
        upload = Upload(url=objects.put_link(row.key, public=True), headers={}, expires_at=datetime.now(UTC) + LINK_LIFE)
    return AssetAnswer(
        id=row.id, filename=row.filename, state=AssetState(row.state), format=row.format, size=row.size, sha256=row.sha256,
        created_at=row.created_at, completed_at=row.completed_at, upload=upload,
        url=None if pending else objects.get_link(row.key, public=True, filename=row.filename),
    )  # fmt: skip


def _attempt(row: Attempt) -> AttemptAnswer:
    return AttemptAnswer(
        number=row.number, job=row.job_name, step=row.step, outcome=row.outcome, error=_error(row.error_code, row.error_message),
        created_at=row.created_at, started_at=row.claimed_at, finished_at=row.ended_at,
    )  # fmt: skip


def _output(row: Request, output: dict[str, Any], objects: Objects) -> Output:
    filename = f"{row.avatar or row.kind}-{row.id.hex[-8:]}-{output['key'].rsplit('/', 1)[-1]}"
    url = objects.get_link(output["key"], public=True, filename=filename)
    return Output(url=url, filename=filename, size=output["size"], sha256=output["sha256"])


def _error(code: str | None, message: str | None) -> ErrorAnswer | None:
    return None if code is None else ErrorAnswer(code=code, message=message or "")
