"""/v1/assets: videos and recordings come in, straight to S3 by a link or through the API in one POST."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from typing import Annotated, Any
from uuid import UUID

from anyio import from_thread, to_thread
from fastapi import APIRouter, Header, Request
from fastapi.responses import Response
from pydantic import ValidationError
from sqlalchemy.orm import Session

from api import answers, errors, paging, signatures
from api.bodies import AssetBody
from api.edge import announced_length
from api.idempotency import Answer, Key, once, posting, replayed
from api.platform import Here, Platform
from api.problems import AWAY, documented, invalid
from api.uploads import Form
from store import assets
from store import errors as refused
from store.models import Asset, AssetState

router = APIRouter(tags=["assets"])

_log = logging.getLogger("api.assets")

PATH = "/v1/assets"
FORM_OVERHEAD = 1 << 16
"""What a form may have around its file."""
STALL_SECONDS = 60.0

_KEPT: tuple[errors.Refusal, ...] = (errors.IdempotencyInFlightError, errors.IdempotencyKeyReusedError)
_CHECKED: tuple[errors.Refusal, ...] = (
    errors.UnsupportedMediaError, errors.SizeMismatchError, errors.Sha256MismatchError, errors.FileEmptyError,
    errors.StorageUnavailableError,
)  # fmt: skip
_FORM = {
    "type": "object",
    "required": ["file"],
    "additionalProperties": False,
    "properties": {
        "file": {"type": "string", "contentMediaType": "application/octet-stream"},
        "sha256": {"type": "string", "pattern": "^[0-9a-f]{64}$"},
    },
}
_BODY = {
    "required": True,
    "content": {
        "application/json": {"schema": {"$ref": "#/components/schemas/AssetBody"}},
        "multipart/form-data": {"schema": _FORM},
    },
}


@router.post(
    PATH, status_code=201, response_model=answers.AssetAnswer, summary="Upload a file", openapi_extra={"requestBody": _BODY},
    responses=documented(*_KEPT, *_CHECKED, errors.AssetTooLargeError, body=True),
)  # fmt: skip
async def create(
    request: Request, here: Here, key: Key = None, content_type: Annotated[str, Header(include_in_schema=False)] = ""
) -> Response:
    """JSON announces a file: PUT it to `upload.url`, then POST to `…/complete`. A form brings it at once, and it is ready."""
    kind = content_type.partition(";")[0].strip().lower()
    if kind == "multipart/form-data":
        if announced_length(request.scope) > here.settings.upload_limit + FORM_OVERHEAD:
            raise errors.AssetTooLargeError(_limit(here))
        stream = request.stream()
        form = Form(content_type, lambda: from_thread.run(_next_chunk, stream), here.settings.upload_limit)
        return await to_thread.run_sync(_take_in, here, key, form, limiter=here.uploads)
    if kind != "application/json":
        raise errors.BodyInvalidError("Content-Type is neither application/json nor multipart/form-data")
    return await to_thread.run_sync(_announce, here, key, await request.body())


@router.post(
    PATH + "/{asset_id}/complete", response_model=answers.AssetAnswer, summary="Complete an upload",
    responses=documented(refused.AssetNotFoundError, refused.AssetNotUploadedError, *_KEPT, *_CHECKED),
)  # fmt: skip
def complete(asset_id: UUID, here: Here, key: Key = None) -> Response:
    """Reads the object once and checks size, sha256 and signature; what does not pass is removed, and can be put again."""
    post = posting(key, f"{PATH}/{asset_id}/complete", None)
    with here.database.look() as session:
        if answer := replayed(session, here, post):
            return answer
        asset = assets.get(session, asset_id, here.owner)
    found = _check(here, asset) if asset.state == AssetState.PENDING else None

    def action(session: Session) -> Answer:
        row = assets.get(session, asset_id, here.owner, lock=True)
        if row.state == AssetState.PENDING and found is not None:
            found(session, row)
        return Answer(200, answers.of_asset(row, here.objects))

    return once(here, post, action)


@router.get(PATH, summary="List assets", responses=documented(errors.CursorInvalidError))
def listed(here: Here, limit: paging.Limit = 50, cursor: paging.Cursor = None) -> answers.AssetPage:
    """Newest first."""
    after = paging.after_id(cursor)
    with here.database.look() as session:
        found = assets.page(session, here.owner, limit, after)
    items = [answers.of_asset(row, here.objects) for row in found[:limit]]
    return answers.AssetPage(items=items, cursor=paging.cursor(items[-1].id if len(found) > limit else None))


@router.get(PATH + "/{asset_id}", summary="See an asset", responses=documented(refused.AssetNotFoundError))
def one(asset_id: UUID, here: Here) -> answers.AssetAnswer:
    """With a fresh link: to put it while it is pending, to read it once it is ready."""
    with here.database.look() as session:
        return answers.of_asset(assets.get(session, asset_id, here.owner), here.objects)


@router.delete(
    PATH + "/{asset_id}", status_code=204, summary="Delete an asset",
    responses=documented(refused.AssetNotFoundError, refused.AssetInUseError),
)  # fmt: skip
def remove(asset_id: UUID, here: Here) -> None:
    """With its object. Not while a request that reads it is not final."""
    with here.database.begin() as session:
        assets.remove(session, asset_id, here.owner)


async def _next_chunk(stream: AsyncIterator[bytes]) -> bytes:
    """A client that has gone to sleep does not keep its upload slot."""
    try:
        async with asyncio.timeout(STALL_SECONDS):
            return await anext(stream)
    except TimeoutError as error:
        raise errors.BodyInvalidError(f"nothing came for {STALL_SECONDS:.0f} seconds") from error


def _announce(here: Platform, key: str | None, raw: bytes) -> Response:
    body = _body(AssetBody.model_validate_json, raw)
    if body.size == 0:
        raise errors.FileEmptyError
    if body.size > here.settings.upload_limit:
        raise errors.AssetTooLargeError(_limit(here))

    def action(session: Session) -> Answer:
        asset = assets.create(session, here.owner, body.filename, body.size, body.sha256)
        session.refresh(asset)
        return Answer(201, answers.of_asset(asset, here.objects), {"Location": f"{PATH}/{asset.id}"})

    return once(here, posting(key, PATH, body.model_dump(mode="json")), action)


def _take_in(here: Platform, key: str | None, form: Form) -> Response:
    form.open()
    _body(AssetBody.model_validate, {"filename": form.filename, "size": 0})
    # The row first, so that the sweep finds what is left if this program ends in the middle.
    with here.database.begin() as session:
        pending = assets.create(session, here.owner, form.filename, 0, None)
    kept = False

    def action(session: Session) -> Answer:
        row = assets.get(session, pending.id, here.owner, lock=True)
        assets.complete(session, row, size=form.size, sha256=form.sha256, etag=etag, format_=format_)
        session.flush()
        return Answer(201, answers.of_asset(row, here.objects), {"Location": f"{PATH}/{row.id}"})

    try:
        here.objects.put_stream(pending.key, form)
        form.finish()
        wanted = _body(AssetBody.model_validate, {"filename": form.filename, "size": form.size, **form.fields}).sha256
        if wanted not in (None, form.sha256):
            raise errors.Sha256MismatchError(f"the file's sha256 is {form.sha256}, not {wanted}")
        format_ = _format(form.size, form.head)
        stat = here.objects.stat(pending.key)
        etag = "" if stat is None else stat.etag
        answer = once(here, posting(key, PATH, [form.filename, form.sha256]), action)
        kept = answer.headers["Location"] == f"{PATH}/{pending.id}"
        return answer
    finally:
        if not kept:
            _discard(here, pending.id)


def _discard(here: Platform, asset_id: UUID) -> None:
    try:
        with here.database.begin() as session:
            assets.discard(session, asset_id, here.owner)
    except AWAY as error:
        _log.warning("asset %s stays pending until it is swept: %s", asset_id, type(error).__name__)


def _check(here: Platform, asset: Asset) -> Callable[[Session, Asset], None]:
    """Reads the object and gives what makes the row ready; a wrong object is removed before this raises."""
    # The ETag before the bytes: an object that is exchanged in between does not have this one any more.
    stat = here.objects.stat(asset.key)
    if stat is None:
        raise refused.AssetNotUploadedError(f"asset {asset.id} has not been put to its link yet")
    try:
        if stat.size != asset.size:
            raise errors.SizeMismatchError(f"{asset.size} bytes were announced, {stat.size} came")
        digest, head = here.objects.digest(asset.key)
        if asset.sha256 not in (None, digest):
            raise errors.Sha256MismatchError(f"sha256 {asset.sha256} was announced, {digest} came")
        format_ = _format(stat.size, head)
    except errors.ApiError:
        with here.database.begin() as session:
            if assets.get(session, asset.id, here.owner, lock=True).state == AssetState.PENDING:
                here.objects.remove(asset.key)
        raise
    size, etag = stat.size, stat.etag

    def ready(session: Session, row: Asset) -> None:
        assets.complete(session, row, size=size, sha256=digest, etag=etag, format_=format_)
        session.flush()

    return ready


def _format(size: int, head: bytes) -> str:
    if size == 0:
        raise errors.FileEmptyError
    format_ = signatures.container(head)
    if format_ is None and signatures.is_playlist(head):
        raise errors.UnsupportedMediaError("this is a playlist, which only names other files: upload the video itself")
    if format_ is None:
        raise errors.UnsupportedMediaError
    return format_


def _body(validate: Callable[[Any], AssetBody], given: Any) -> AssetBody:
    try:
        return validate(given)
    except ValidationError as error:
        raise invalid(list(error.errors(include_url=False))) from error


def _limit(here: Platform) -> str:
    return f"an asset has at most {here.settings.upload_limit} bytes"
