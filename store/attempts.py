"""An attempt as its worker sees it: claimed by one run, reported on, published from.

The fence: the attempt must be the request's current one, the request not final, the run the owning one. Each function
locks the request's row first, so that a worker, the controller and a person's cancel pass through one after the other.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from store import avatars, removals, requests
from store.errors import AttemptFinalError, AttemptNotFoundError, AttemptOwnedError, AttemptStaleError
from store.models import FINAL, Attempt, Checkpoint, Dataset, Json, Kind, Removal, Request, State
from store.objects import attempt_prefix

CHECKPOINTS_KEPT = 2
HEADLINE = ("niqe", "psnr", "ssim", "fid", "lse_c", "lse_d")
"""Of an evaluation: what its last event shows."""


@dataclass(frozen=True)
class Claim:
    """What a run that owns an attempt has to know."""

    request: Request
    attempt: Attempt
    dataset: Dataset | None
    checkpoint: Checkpoint | None


@dataclass(frozen=True)
class DatasetKey:
    """Two trainings with the same key preprocess alike."""

    version: int
    options_hash: str


def claim(session: Session, attempt_id: UUID, run: str, step: str, dataset: DatasetKey | None) -> Claim:
    """Gives the attempt to its first run. The same run may come again, once a step.

    Raises AttemptOwnedError for a twin of a living run, AttemptFinalError and AttemptStaleError for one that came too late.
    """
    request, attempt = _current(session, attempt_id)
    if attempt.run not in (None, run):
        raise AttemptOwnedError
    now = datetime.now(UTC)
    if attempt.run is None:
        attempt.run, attempt.claimed_at = run, now
    if request.state == State.SUBMITTED:
        request.state, request.waiting_reason = State.RUNNING, None
        request.started_at = request.started_at or now
        requests.record(session, request, "started", attempt=attempt.number, run=run)
    attempt.step, attempt.reported_at = step, now
    found = None if dataset is None else _pin(session, request, dataset)
    return Claim(request, attempt, found, last_checkpoint(session, request))


def published_by(session: Session, attempt_id: UUID, run: str) -> Claim | None:
    """What `run` owns, if it has published its request's result from this attempt already."""
    request, attempt = _row(session, attempt_id)
    published = request.state == State.SUCCEEDED and request.attempt == attempt.number and attempt.run == run
    return Claim(request, attempt, None, None) if published else None


def owned(session: Session, attempt_id: UUID, run: str) -> tuple[Request, Attempt]:
    """The current attempt and its request, locked, if `run` owns it; raises as `claim` does."""
    request, attempt = _current(session, attempt_id)
    if attempt.run != run:
        raise AttemptOwnedError
    return request, attempt


def report(
    session: Session, attempt_id: UUID, run: str, step: str, stage: str | None, progress: float | None, eta_seconds: float | None
) -> bool:
    """Notes how far the run has come; progress never falls. Returns whether it should stop."""
    request, attempt = owned(session, attempt_id, run)
    attempt.reported_at, attempt.step = datetime.now(UTC), step
    moved = bool(stage) and stage != request.stage
    request.stage = stage or request.stage
    if progress is not None:
        request.progress = max(request.progress, min(progress, 1.0))
    request.eta_seconds = eta_seconds
    if moved:
        requests.record(session, request, "stage", stage=request.stage, progress=request.progress)
    return request.cancel_requested_at is not None


def publish_dataset(session: Session, attempt_id: UUID, run: str, key: DatasetKey, files: list[Json]) -> bool:
    """Makes the dataset findable. False: another was first, and this one's files are swept."""
    request, attempt = owned(session, attempt_id, run)
    prefix = attempt_prefix(request.id, attempt.number)
    row = insert(Dataset).values(
        owner=request.owner, video_sha256=_video_sha256(request), version=key.version, options_hash=key.options_hash,
        request_id=request.id, prefix=prefix, files=files,
    )  # fmt: skip
    first = session.scalar(row.on_conflict_do_nothing().returning(Dataset.id))
    found = find_dataset(session, request, key)
    accepted = first is not None or (found is not None and found.prefix == prefix)
    if not accepted:
        session.add(Removal(owner=request.owner, prefix=prefix + "dataset/"))
    requests.record(session, request, "dataset_published", accepted=accepted)
    return accepted


def publish_checkpoint(session: Session, attempt_id: UUID, run: str, name: str, step: int, files: list[Json]) -> None:
    """Makes the checkpoint the one to resume from; the last two of the request are kept."""
    request, attempt = owned(session, attempt_id, run)
    prefix = attempt_prefix(request.id, attempt.number)
    row = insert(Checkpoint).values(
        request_id=request.id, owner=request.owner, attempt=attempt.number, name=name, step=step, prefix=prefix, files=files
    )
    session.execute(row.on_conflict_do_nothing())
    kept = select(Checkpoint).where(Checkpoint.request_id == request.id)
    for old in session.scalars(kept.order_by(Checkpoint.step.desc(), Checkpoint.attempt.desc()).offset(CHECKPOINTS_KEPT)):
        session.add(Removal(owner=request.owner, prefix=f"{old.prefix}checkpoints/{old.name}/"))
        session.delete(old)


def publish_result(
    session: Session, attempt_id: UUID, run: str, files: list[Json], build: Callable[[Request, Attempt], Json]
) -> tuple[Request, bool]:
    """The one commit that ends a request well: result, final state and, for a training, the avatar's next version.

    `build` makes the result from the locked rows. Publishing again after success changes nothing and returns False.
    """
    request, attempt = _row(session, attempt_id)
    if request.state == State.SUCCEEDED and request.attempt == attempt.number and attempt.run == run:
        return request, False
    _fence(request, attempt)
    if attempt.run != run:
        raise AttemptOwnedError
    now = datetime.now(UTC)
    if request.kind == Kind.TRAINING:
        version = avatars.add_version(session, request, attempt_prefix(request.id, attempt.number), files)
        request.avatar_version = version.version
    request.result = build(request, attempt)
    request.state, request.finished_at, request.progress, request.eta_seconds = State.SUCCEEDED, now, 1.0, 0.0
    request.waiting_reason = None
    attempt.outcome, attempt.ended_at = "succeeded", now
    removals.leftovers(session, request, keep_attempt=attempt.number)
    scores = request.result.get("scores")
    requests.record(session, request, "succeeded", attempt=attempt.number, **({"scores": _headline(scores)} if scores else {}))
    return request, True


def _headline(scores: Json) -> Json:
    """The six figures of an evaluation in the shape of its `scores`: of an avatar, or {"predictions": [of each]}."""
    each = scores.get("predictions")
    if isinstance(each, list):
        return {"predictions": [_six(one) for one in each if isinstance(one, dict)]}
    return _six(scores)


def _six(scores: Json) -> Json:
    # A worker may send anything under these names; an event stays small.
    return {name: value if isinstance(value := scores.get(name), int | float) else None for name in HEADLINE}


def find_dataset(session: Session, request: Request, key: DatasetKey | None) -> Dataset | None:
    """The published dataset of the request's video for `key`."""
    if key is None or request.kind != Kind.TRAINING:
        return None
    return session.scalar(
        select(Dataset).where(
            Dataset.owner == request.owner,
            Dataset.video_sha256 == _video_sha256(request),
            Dataset.version == key.version,
            Dataset.options_hash == key.options_hash,
        )
    )


def pinned_dataset(session: Session, request: Request) -> Dataset | None:
    """The dataset that the last claim that named a key was given: links are made for this one and no other."""
    pinned = request.spec.get("dataset")
    return session.get(Dataset, UUID(pinned)) if pinned else None


def of_request(session: Session, request: Request) -> list[Attempt]:
    """All attempts, first to last."""
    return list(session.scalars(select(Attempt).where(Attempt.request_id == request.id).order_by(Attempt.number)))


def _pin(session: Session, request: Request, key: DatasetKey) -> Dataset | None:
    found = find_dataset(session, request, key)
    pinned = None if found is None else str(found.id)
    if request.spec.get("dataset") != pinned:
        request.spec = {**request.spec, "dataset": pinned}
    return found


def _current(session: Session, attempt_id: UUID) -> tuple[Request, Attempt]:
    request, attempt = _row(session, attempt_id)
    _fence(request, attempt)
    return request, attempt


def _row(session: Session, attempt_id: UUID) -> tuple[Request, Attempt]:
    request_id = session.scalar(select(Attempt.request_id).where(Attempt.id == attempt_id))
    request = requests.locked(session, request_id) if request_id else None
    attempt = session.get(Attempt, attempt_id, populate_existing=True)
    if request is None or attempt is None:
        raise AttemptNotFoundError
    return request, attempt


def _fence(request: Request, attempt: Attempt) -> None:
    if request.attempt != attempt.number:
        raise AttemptStaleError
    if request.state in FINAL or attempt.ended_at is not None:
        raise AttemptFinalError


def last_checkpoint(session: Session, request: Request) -> Checkpoint | None:
    """The checkpoint that the next run resumes from."""
    query = select(Checkpoint).where(Checkpoint.request_id == request.id)
    return session.scalar(query.order_by(Checkpoint.step.desc(), Checkpoint.attempt.desc()).limit(1))


def _video_sha256(request: Request) -> str:
    return str(next(item["sha256"] for item in request.spec["inputs"] if item["name"] == "inputs/video"))
