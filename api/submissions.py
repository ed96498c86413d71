"""POST /v1/trainings, renderings, evaluations, syntheses, dialogues and voices: a body becomes a queued request."""

from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from uuid import UUID

from fastapi import APIRouter
from fastapi.responses import Response
from sqlalchemy.orm import Session

from api import answers, errors, references, speech
from api.bodies import (
    Body,
    Consent,
    DialogueBody,
    EvaluationBody,
    Reference,
    RenderingBody,
    SynthesisBody,
    TrainingBody,
    VoiceBody,
)
from api.idempotency import Answer, Key, once, posting, replayed
from api.platform import Here, Platform
from api.problems import Docs, documented
from api.settings import NO_GPU
from store import avatars, conversations, ids, requests, voices
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
_SPEECH: tuple[errors.Refusal, ...] = (
    errors.TextEmptyError, errors.TextTooLongError, errors.LanguageUnsupportedError, errors.VoiceUnknownError,
    errors.VoiceNotReadyError, errors.VoiceCloningUnavailableError, errors.WeightsMissingError, errors.GpuUnknownError,
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
        # Locked before its requests, as when it is deleted.
        avatars.ensure(session, here.owner, body.avatar, body.title, _consent(body.consent))
        video = references.resolve(session, here.owner, body.video, "inputs/video", moving=True)
        spec = {**body.fields(gpu), "inputs": [video.item], "steps": ["preprocess", "train"]}
        uses = [video.mark, f"video:{video.item['sha256']}"]
        return requests.create(session, owner=here.owner, kind=Kind.TRAINING, spec=spec, uses=uses, avatar=body.avatar)

    return _submitted(here, key, "/v1/trainings", body, [body.video], submit)


@router.post(
    "/v1/renderings", status_code=202, response_model=answers.RequestAnswer, summary="Film an avatar",
    responses=_docs(*_AVATARS, *_SPEECH),
)  # fmt: skip
def render(body: RenderingBody, here: Here, key: Key = None) -> Response:
    """Films the avatar saying what the recording or the text says, with the version that is the newest now, or the one named.

    The outputs: `video`, `contact_sheet`, `report`; of a text also `audio`, `speech` (words and their times), `subtitles` (SRT)
    and `vtt`; of a recording whose subtitles are burnt in `transcript`, `subtitles` and `vtt`.
    """
    before = ["synthesize"] if body.audio is None else ["transcribe"] if body.subtitles else []

    def submit(session: Session) -> Request:
        version, model = references.model(session, here.owner, body.avatar, body.version)
        reference = _voice(session, here, body.voice)
        speech.check(
            here.settings, speaks=body.text is not None, listens="transcribe" in before, clones=bool(reference),
            draws=body.text if body.subtitles else None,
        )  # fmt: skip
        sources = [*_audio(session, here, body.audio), *reference, *model]
        spec = {**body.model_dump(mode="json"), "version": version.version}
        return _queued(session, here, Kind.RENDERING, spec, sources, [*before, "render"], body.avatar, version.version)

    return _submitted(here, key, "/v1/renderings", body, [body.audio], submit)


@router.post(
    "/v1/syntheses", status_code=202, response_model=answers.RequestAnswer, summary="Read a text out", responses=_docs(*_SPEECH)
)
def synthesize(body: SynthesisBody, here: Here, key: Key = None) -> Response:
    """Only the sound, to try a voice before a video.

    The outputs: `audio`, `speech` (words and their times), `subtitles` (SRT) and `vtt`.
    """

    def submit(session: Session) -> Request:
        reference = _voice(session, here, body.voice)
        speech.check(here.settings, speaks=True, clones=bool(reference))
        spec = {**body.model_dump(mode="json"), "gpu": speech.gpu(here.settings, body.gpu)}
        return _queued(session, here, Kind.SYNTHESIS, spec, reference, ["synthesize"], None, None)

    return _submitted(here, key, "/v1/syntheses", body, [], submit)


@router.post(
    "/v1/dialogues", status_code=202, response_model=answers.RequestAnswer, summary="Ask an avatar",
    responses=_docs(
        *_AVATARS, *_SPEECH, errors.ReplyKeyMissingError, refused.ConversationNotFoundError, refused.ConversationBusyError,
    ),
)  # fmt: skip
def ask(body: DialogueBody, here: Here, key: Key = None) -> Response:
    """A language model answers the question, spoken or written, and the avatar is filmed saying the answer.

    `conversation` in the answer names the conversation: the next dialogue that gives it is told what was said before. The
    outputs: `turn` (transcript, question, reply, words and their times), `audio`, `subtitles` (SRT), `vtt`, `video`,
    `contact_sheet`, `report`.
    """

    def submit(session: Session) -> Request:
        version, model = references.model(session, here.owner, body.avatar, body.version)
        reference = _voice(session, here, body.voice)
        speech.check(here.settings, speaks=True, listens=body.audio is not None, replies=True, clones=bool(reference))
        sources = [*_audio(session, here, body.audio), *reference, *model]
        history = [] if body.conversation is None else conversations.history(session, here.owner, body.conversation)
        conversation = body.conversation or ids.new()
        spec = {
            **body.model_dump(mode="json"), "version": version.version, "conversation": str(conversation), "history": history
        }  # fmt: skip
        return _queued(
            session, here, Kind.DIALOGUE, spec, sources, ["converse", "render"], body.avatar, version.version, conversation
        )

    return _submitted(here, key, "/v1/dialogues", body, [body.audio], submit)


@router.post(
    "/v1/voices", status_code=202, response_model=answers.RequestAnswer, summary="Enrol a voice", tags=["voices"],
    responses=_docs(
        errors.ConsentRequiredError, errors.GpuUnknownError, errors.VoiceCloningUnavailableError, errors.WeightsMissingError,
        refused.VoiceExistsError,
    ),
)  # fmt: skip
def enrol(body: VoiceBody, here: Here, key: Key = None) -> Response:
    """Examines and cleans the recording; when that has succeeded, the voice is ready and may be named as `voice`.

    A recording that is too short, holds two people, music or too little speech fails the request, and the voice with it. The
    output: `reference`, what is spoken with.
    """

    def submit(session: Session) -> Request:
        speech.check(here.settings, speaks=True, clones=True)
        voices.check_vacant(session, here.owner, body.name)
        sources = _audio(session, here, body.recording)
        spec = {**body.model_dump(mode="json"), "gpu": speech.gpu(here.settings, body.gpu)}
        request = _queued(session, here, Kind.SYNTHESIS, spec, sources, ["enrol"], None, None)
        voices.enrol(session, request, body.name, body.title, _consent(body.consent))
        return request

    return _submitted(here, key, "/v1/voices", body, [body.recording], submit)


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


def _consent(given: Consent) -> Json:
    return {**given.model_dump(), "at": datetime.now(UTC).isoformat()}


def _audio(session: Session, here: Platform, audio: Reference | None) -> list[references.Source]:
    return [] if audio is None else [references.resolve(session, here.owner, audio, "inputs/audio")]


def _voice(session: Session, here: Platform, name: str | None) -> list[references.Source]:
    found = references.voice(session, here.owner, name, speech.built_in(here.settings))
    return [] if found is None else [found]


def _queued(
    session: Session, here: Platform, kind: Kind, spec: Json, sources: list[references.Source], steps: list[str],
    avatar: str | None, version: int | None, conversation: UUID | None = None,
) -> Request:  # fmt: skip
    spec = {**spec, "gpu": _gpu(here, spec["gpu"]), "inputs": [source.item for source in sources], "steps": steps}
    uses = sorted({source.mark for source in sources})
    return requests.create(
        session, owner=here.owner, kind=kind, spec=spec, uses=uses, avatar=avatar, avatar_version=version,
        conversation=conversation,
    )  # fmt: skip


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
