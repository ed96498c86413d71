"""POST /v1/trainings, /v1/renderings, /v1/evaluations: a body becomes a queued request."""

from collections.abc import Callable, Iterable
from datetime import UTC, datetime

from fastapi import APIRouter
from fastapi.responses import Response
from sqlalchemy.orm import Session

from api import answers, errors, references
from api.bodies import Body, EvaluationBody, Reference, RenderingBody, TrainingBody
from api.idempotency import Answer, Key, once, posting, replayed
from api.platform import Here, Platform
from api.problems import Docs, documented
from api.settings import NO_GPU
from store import avatars, requests
from store import errors as refused
from store.models import Json, Kind, Request

router = APIRouter(tags=["requests"])

_REFERENCES: tuple[errors.Refusal, ...] = (
    refused.AssetNotFoundError, refused.AssetNotUploadedError, refused.RequestNotFoundError, errors.RequestNotReadyError,
    errors.OutputNotFoundError, errors.AssetChangedError, errors.StorageUnavailableError, errors.NameInvalidError,
    errors.IdempotencyInFlightError, errors.IdempotencyKeyReusedError, errors.UnsupportedMediaError,
)  # fmt: skip
_AVATARS: tuple[errors.Refusal, ...] = (
    errors.GpuUnknownError, refused.AvatarNotFoundError, refused.VersionNotFoundError, refused.AvatarNotReadyError,
)  # fmt: skip


def _docs(*more: errors.Refusal) -> Docs:
    location = {"description": "Where the request is", "schema": {"type": "string"}}
    accepted = {"description": "Queued", "headers": {"Location": location}}
    return {202: accepted, **documented(*_REFERENCES, *more, body=True)}


@router.post(
    "/v1/trainings", status_code=202, response_model=answers.RequestAnswer, summary="Train an avatar",
    responses=_docs(errors.ConsentRequiredError, errors.EpochsInvalidError, errors.GpuUnknownError),
)  # fmt: skip
def train(body: TrainingBody, here: Here, key: Key = None) -> Response:
    """Makes the avatar of that name, or its next version. A training of the same video finds what was preprocessed before."""

    def submit(session: Session) -> Request:
        gpu = _gpu(here, body.gpu)
        consent = {**body.consent.model_dump(), "at": datetime.now(UTC).isoformat()}
        avatars.ensure(session, here.owner, body.avatar, body.title, consent)  # locked before its requests, as when it is deleted
        video = references.resolve(session, here.owner, body.video, "inputs/video", moving=True)
        spec = {**body.fields(gpu), "inputs": [video.item], "steps": ["preprocess", "train"]}
        uses = [video.mark, f"video:{video.item['sha256']}"]
        return requests.create(session, owner=here.owner, kind=Kind.TRAINING, spec=spec, uses=uses, avatar=body.avatar)

    return _submitted(here, key, "/v1/trainings", body, [body.video], submit)


@router.post(
    "/v1/renderings", status_code=202, response_model=answers.RequestAnswer, summary="Film an avatar",
    responses=_docs(*_AVATARS, errors.TextNotSupportedError),
)  # fmt: skip
def render(body: RenderingBody, here: Here, key: Key = None) -> Response:
    """Films the avatar saying what the recording says, with the version that is the newest now, or the one that is named."""

    def submit(session: Session) -> Request:
        assert body.audio is not None  # noqa: S101 - the body's own check
        version, model = references.model(session, here.owner, body.avatar, body.version)
        audio = references.resolve(session, here.owner, body.audio, "inputs/audio")
        spec = {**body.model_dump(mode="json", exclude={"text", "voice"}), "version": version.version}
        return _queued(session, here, Kind.RENDERING, spec, [audio, *model], ["render"], body.avatar, version.version)

    return _submitted(here, key, "/v1/renderings", body, [body.audio], submit)


@router.post(
    "/v1/evaluations", status_code=202, response_model=answers.RequestAnswer, summary="Score videos, or an avatar",
    responses=_docs(*_AVATARS),
)  # fmt: skip
def evaluate(body: EvaluationBody, here: Here, key: Key = None) -> Response:
    """Scores predictions against a ground truth; or an avatar on the part of its own video that it was not trained on.

    The outputs: `scores`, `report` (a page with both videos and their curves) and `metrics` (the figures of each frame).
    Of several predictions `report-0`, `metrics-0`, `report-1`, … in their order, and `comparison`.
    """

    def submit(session: Session) -> Request:
        spec = body.model_dump(mode="json")
        if body.avatar is not None:
            version, model = references.model(session, here.owner, body.avatar, body.version)
            spec["version"] = version.version
            return _queued(session, here, Kind.EVALUATION, spec, model, ["render", "evaluate"], body.avatar, version.version)
        assert body.ground_truth is not None  # noqa: S101 - the body's own check
        sources = [references.resolve(session, here.owner, body.ground_truth, "inputs/ground_truth", moving=True)]
        for number, prediction in enumerate(body.predictions or []):
            sources.append(references.resolve(session, here.owner, prediction, f"inputs/prediction-{number}", moving=True))
        return _queued(session, here, Kind.EVALUATION, spec, sources, ["evaluate"], None, None)

    return _submitted(here, key, "/v1/evaluations", body, [body.ground_truth, *(body.predictions or [])], submit)


def _gpu(here: Platform, asked: str | None) -> str | None:
    """The GPU class that is meant; None: CPU. Raises GpuUnknownError."""
    name = asked or here.settings.default_gpu
    if name == NO_GPU:
        return None
    if name not in here.settings.gpu_classes:
        known = ", ".join(sorted([NO_GPU, *here.settings.gpu_classes]))
        raise errors.GpuUnknownError(f"there is no GPU class {name!r} here; known: {known}")
    return name


def _queued(
    session: Session, here: Platform, kind: Kind, spec: Json, sources: list[references.Source], steps: list[str],
    avatar: str | None, version: int | None,
) -> Request:  # fmt: skip
    spec = {**spec, "gpu": _gpu(here, spec["gpu"]), "inputs": [source.item for source in sources], "steps": steps}
    uses = sorted({source.mark for source in sources})
    return requests.create(session, owner=here.owner, kind=kind, spec=spec, uses=uses, avatar=avatar, avatar_version=version)


def _submitted(
    here: Platform,
    key: str | None,
    path: str,
    body: Body,
    media: Iterable[Reference | None],
    submit: Callable[[Session], Request],
) -> Response:
    post = posting(key, path, body.model_dump(mode="json", exclude_unset=True))
    with here.database.look() as session:
        if answer := replayed(session, here, post):
            return answer
        objects = references.checked(session, here.owner, media)
    # Outside of the transaction, so that no connection is held while S3 is slow.
    for one in objects:
        references.check_object(here.objects, one)

    def action(session: Session) -> Answer:
        request = submit(session)
        return Answer(202, answers.of_request(request, here, []), {"Location": f"/v1/requests/{request.id}"})

    return once(here, post, action)
