"""The workers' door: claim, links, report, publish. An attempt token opens it, for that attempt alone."""

import json
import mimetypes
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from sqlalchemy.orm import Session

from api import door, errors
from api.platform import Here, Platform
from api.problems import documented
from api.references import MODEL, check_object
from store import attempts, tokens, voices
from store import errors as refused
from store.models import Attempt, Json, Kind, Request, State
from store.objects import LINK_LIFE, attempt_prefix, log_key

router = APIRouter(tags=["workers"])

CHECKPOINT = "checkpoint/"
DATASET = "dataset/"

_bearer = HTTPBearer(auto_error=False, description="Attempt token")
_FENCE: tuple[errors.Refusal, ...] = (
    errors.TokenInvalidError, refused.AttemptNotFoundError, refused.AttemptOwnedError, refused.AttemptFinalError,
    refused.AttemptStaleError,
)  # fmt: skip


async def _opened(
    attempt_id: UUID, here: Here, credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]
) -> UUID:
    token = credentials.credentials if credentials else ""
    if tokens.verify(token, here.settings.token_keys) != attempt_id:
        raise errors.TokenInvalidError
    return attempt_id


AttemptId = Annotated[UUID, Depends(_opened)]


@router.post(
    "/v1/attempts/{attempt_id}/claim", summary="Claim the attempt",
    responses=documented(*_FENCE, errors.AssetChangedError, errors.StorageUnavailableError, body=True),
)  # fmt: skip
def claim(attempt: AttemptId, body: door.ClaimBody, here: Here) -> door.ClaimAnswer:
    """Makes the attempt this run's, and says what there is to do. The same run claims again for each step."""
    key = attempts.DatasetKey(body.dataset.version, body.dataset.options_hash) if body.dataset else None
    with here.database.begin() as session:
        if published := attempts.published_by(session, attempt, body.run):
            return _claimed(here, published)
        found = attempts.claim(session, attempt, body.run, body.step, key)
        _check_step(found.request, body.step)
    for item in found.request.spec["inputs"]:
        if "etag" in item:
            check_object(here.objects, item)
    return _claimed(here, found)


@router.post(
    "/v1/attempts/{attempt_id}/links", summary="Ask for links",
    responses=documented(*_FENCE, refused.ObjectMissingError, body=True),
)  # fmt: skip
def links(attempt: AttemptId, body: door.LinksBody, here: Here) -> door.LinksAnswer:
    """To read what `claim` named, and to write below the attempt's own prefix; good for an hour, to be asked for anew."""
    with here.database.begin() as session:
        request, row = attempts.owned(session, attempt, body.run)
        readable = _readable(session, request)
    if missing := [name for name in body.get if name not in readable]:
        raise refused.ObjectMissingError(f"{missing[0]} is not among the files of this attempt")
    for file in body.put:
        _check_own(file.name)
    prefix = attempt_prefix(request.id, row.number)
    put = {
        file.name: door.PutLink(url=here.objects.put_link(prefix + file.name), headers={"Content-Type": _content_type(file.name)})
        for file in body.put
    }
    get = {name: here.objects.get_link(readable[name]) for name in body.get}
    return door.LinksAnswer(get=get, put=put, expires_in=int(LINK_LIFE.total_seconds()))


@router.post(
    "/v1/attempts/{attempt_id}/report", summary="Report",
    responses=documented(*_FENCE, errors.StorageUnavailableError, body=True),
)  # fmt: skip
def report(attempt: AttemptId, body: door.ReportBody, here: Here) -> door.ReportAnswer:
    """Says how far the run is, and hears whether it should stop. Lines are kept as a part of the log."""
    with here.database.begin() as session:
        request, row = attempts.owned(session, attempt, body.run)
        place = _check_step(request, body.step)
        stop = attempts.report(session, attempt, body.run, body.step, body.stage, body.progress, body.eta_seconds)
    if body.lines:
        lines = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in body.lines)
        key = log_key(request.id, row.number, place, body.step, body.seq)
        here.objects.put(key, lines.encode(), "application/x-ndjson")
    return door.ReportAnswer(stop=stop)


@router.post(
    "/v1/attempts/{attempt_id}/publish", summary="Publish",
    responses=documented(*_FENCE, refused.ObjectMissingError, errors.StorageUnavailableError, body=True),
)  # fmt: skip
def publish(attempt: AttemptId, body: door.PublishBody, here: Here) -> door.PublishAnswer:
    """Makes files count that were put before. A result ends the request; publishing the same again changes nothing."""
    names = {file.name for file in body.files}
    for name in names:
        _check_own(name)
    with here.database.begin() as session:
        if attempts.published_by(session, attempt, body.run) is not None:
            return door.PublishAnswer(accepted=True)
        request, row = attempts.owned(session, attempt, body.run)
        _check_step(request, body.step)
        prefix = attempt_prefix(request.id, row.number)
        if isinstance(body, door.DatasetBody):
            _check_dataset(request, body)
            if attempts.find_dataset(session, request, _key(body)) is not None:
                return door.PublishAnswer(accepted=_publish(session, attempt, body))
        elif isinstance(body, door.CheckpointBody):
            _check_below(names, f"checkpoints/{body.checkpoint.name}/")
        else:
            _check_result(request, body)
    # Outside of the transaction, so that the request's row is not locked while S3 is slow.
    _check_there(here, prefix, body.files)
    with here.database.begin() as session:
        return door.PublishAnswer(accepted=_publish(session, attempt, body))


def _publish(session: Session, attempt: UUID, body: door.DatasetBody | door.CheckpointBody | door.ResultBody) -> bool:
    files = [file.model_dump() for file in body.files]
    if isinstance(body, door.DatasetBody):
        return attempts.publish_dataset(session, attempt, body.run, _key(body), files)
    if isinstance(body, door.CheckpointBody):
        attempts.publish_checkpoint(session, attempt, body.run, body.checkpoint.name, body.checkpoint.step, files)
        return True
    model = [file for file in files if file["name"].startswith(MODEL)]
    attempts.publish_result(session, attempt, body.run, model, lambda request, row: _result(request, row, body))
    return True


def _claimed(here: Platform, found: attempts.Claim) -> door.ClaimAnswer:
    request, checkpoint = found.request, found.checkpoint
    files = [] if checkpoint is None else _moved(checkpoint.files, f"checkpoints/{checkpoint.name}/", CHECKPOINT)
    return door.ClaimAnswer(
        request=request.id, attempt=found.attempt.number, kind=request.kind, avatar=request.avatar,
        spec={name: value for name, value in request.spec.items() if name not in ("inputs", "dataset")},
        steps=request.spec["steps"], inputs=[door.File(**_plain(item)) for item in request.spec["inputs"]],
        dataset=None if found.dataset is None else [door.File(**_plain(item)) for item in found.dataset.files],
        checkpoint=None if checkpoint is None else door.CheckpointFiles(name=checkpoint.name, step=checkpoint.step, files=files),
        published=request.state == State.SUCCEEDED, report_seconds=here.settings.report_seconds,
    )  # fmt: skip


def _content_type(name: str) -> str:
    """By the name's ending. Told with the upload: not every S3 server finds it out, and browsers go by it."""
    return mimetypes.guess_type(name)[0] or "application/octet-stream"


def _readable(session: Session, request: Request) -> dict[str, str]:
    """The keys of the files that the request's runs may read, by the names that `claim` gave them."""
    keys = {item["name"]: item["key"] for item in request.spec["inputs"]}
    if dataset := attempts.pinned_dataset(session, request):
        keys |= {file["name"]: dataset.prefix + file["name"] for file in dataset.files}
    if checkpoint := attempts.last_checkpoint(session, request):
        folder = f"checkpoints/{checkpoint.name}/"
        keys |= {CHECKPOINT + file["name"].removeprefix(folder): checkpoint.prefix + file["name"] for file in checkpoint.files}
    return keys


def _result(request: Request, row: Attempt, body: door.ResultBody) -> Json:
    prefix = attempt_prefix(request.id, row.number)
    files = {file.name: file for file in body.files}
    outputs = {
        name: {"key": prefix + file, "size": files[file].size, "sha256": files[file].sha256}
        for name, file in body.result.outputs.items()
    }
    more: Json = door.clean(body.result.model_extra or {})
    if body.result.turn is not None:
        more["turn"] = door.clean(body.result.turn.model_dump())
    if body.result.voice is not None:
        more["voice"] = body.result.voice
    return {**more, "outputs": outputs, "scores": body.result.scores}


def _check_step(request: Request, step: str) -> int:
    """The step's place in the Job."""
    steps: list[str] = request.spec["steps"]
    if step not in steps:
        raise errors.FieldInvalidError(f"step: a {request.kind} has the steps {', '.join(steps)}")
    return steps.index(step)


def _check_own(name: str) -> None:
    """The log is the API's to write."""
    if name.startswith("log/"):
        raise errors.FieldInvalidError(f"{name}: log/ is written by reports alone")


def _check_below(names: set[str], folder: str) -> None:
    if strange := [name for name in names if not name.startswith(folder)]:
        raise errors.FieldInvalidError(f"files: {min(strange)} is not below {folder}")


def _check_dataset(request: Request, body: door.DatasetBody) -> None:
    _check_below({file.name for file in body.files}, DATASET)
    video = [item["sha256"] for item in request.spec["inputs"] if item["name"] == "inputs/video"]
    if video != [body.dataset.video_sha256]:
        raise errors.FieldInvalidError("dataset.video_sha256: that is not this request's video")


def _check_result(request: Request, body: door.ResultBody) -> None:
    names = {file.name for file in body.files}
    if unknown := [file for file in body.result.outputs.values() if file not in names]:
        raise errors.FieldInvalidError(f"result.outputs: {unknown[0]} is not among the files")
    if request.kind == Kind.TRAINING and not any(name.startswith(MODEL) for name in names):
        raise errors.FieldInvalidError("files: a training's result has files below model/")
    if request.kind == Kind.DIALOGUE and body.result.turn is None:
        raise errors.FieldInvalidError("result.turn: a dialogue's result says what was asked and answered")
    if "enrol" in request.spec["steps"] and voices.REFERENCE not in body.result.outputs:
        raise errors.FieldInvalidError(f"result.outputs: an enrolment's result has the output {voices.REFERENCE}")


def _check_there(here: Platform, prefix: str, files: list[door.File]) -> None:
    for file in files:
        stat = here.objects.stat(prefix + file.name)
        if stat is None or stat.size != file.size:
            size = "missing" if stat is None else f"{stat.size} bytes long, not {file.size}"
            raise refused.ObjectMissingError(f"{file.name} is {size}")


def _key(body: door.DatasetBody) -> attempts.DatasetKey:
    return attempts.DatasetKey(body.dataset.version, body.dataset.options_hash)


def _plain(item: dict[str, Any]) -> dict[str, Any]:
    return {name: item[name] for name in ("name", "size", "sha256")}


def _moved(files: list[Json], old: str, new: str) -> list[door.File]:
    return [door.File(**{**_plain(file), "name": new + file["name"].removeprefix(old)}) for file in files]
