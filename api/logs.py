"""GET /v1/requests/{id}/logs: what the steps have said, from the parts that lie under the attempts' prefixes."""

from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query
from fastapi.responses import StreamingResponse
from starlette.concurrency import run_in_threadpool

from api import errors
from api.platform import Here, Platform
from api.problems import AWAY, documented
from api.streams import looks
from store import attempts, requests
from store import errors as refused
from store.models import FINAL
from store.objects import LOG_FOLDER, attempt_prefix

router = APIRouter(tags=["requests"])

NDJSON = "application/x-ndjson"


@dataclass(frozen=True)
class _Look:
    """Parts that were not read yet, each with its attempt; the attempt to go on with; whether there can be more."""

    parts: list[tuple[int, str]]
    attempt: int
    done: bool


@router.get(
    "/v1/requests/{request_id}/logs", summary="Read the log", response_class=StreamingResponse,
    responses={
        200: {"description": "One JSON object a line", "content": {NDJSON: {"schema": {"type": "string"}}}},
        **documented(refused.RequestNotFoundError, refused.AttemptNotFoundError, errors.StorageUnavailableError),
    },
)  # fmt: skip
def logs(
    request_id: UUID,
    here: Here,
    follow: Annotated[bool, Query(description="Go on until the request is final")] = False,
    attempt: Annotated[int | None, Query(ge=1, le=2**31 - 1, description="Default: the last, and those that follow it")] = None,
) -> StreamingResponse:
    """The lines that the steps wrote, with request, attempt, kind, avatar and step."""
    with here.database.look() as session:
        request = requests.get(session, request_id, here.owner)
    if attempt is not None and attempt > request.attempt:
        raise refused.AttemptNotFoundError(f"request {request_id} has no attempt {attempt}")
    if follow and request.state not in FINAL:
        return StreamingResponse(_follow(here, request_id, attempt), media_type=NDJSON, headers={"X-Accel-Buffering": "no"})
    keys = _keys(here, request_id, attempt or request.attempt, None)
    return StreamingResponse(_read(here, keys), media_type=NDJSON)


async def _read(here: Platform, keys: list[str]) -> AsyncIterator[bytes]:
    for key in keys:
        yield await run_in_threadpool(here.objects.get, key)


async def _follow(here: Platform, request_id: UUID, only: int | None) -> AsyncIterator[bytes]:
    number, last = only or 0, None

    def look() -> _Look:
        return _look(here, request_id, number, last, only is not None)

    async with aclosing(looks(here, request_id, look)) as found_again:
        async for found in found_again:
            if found is None:
                continue
            whole = True
            for attempt, key in found.parts:
                try:
                    part = await run_in_threadpool(here.objects.get, key)
                except AWAY:
                    whole = False  # the next look begins with this part
                    break
                yield part
                number, last = attempt, key
            if whole and number != found.attempt:
                number, last = found.attempt, None  # keys are compared within an attempt: /10/ sorts before /9/
            if whole and found.done:
                return


def _look(here: Platform, request_id: UUID, number: int, last: str | None, only: bool) -> _Look:
    # The state first: what a final request's worker has said lies there by then.
    with here.database.look() as session:
        request = requests.get(session, request_id, here.owner)
        ended = {row.number for row in attempts.of_request(session, request) if row.ended_at is not None}
    final = request.state in FINAL
    number = number or request.attempt
    if number == 0:
        return _Look([], 0, final)
    parts = [(number, key) for key in _keys(here, request_id, number, last)]
    if only:
        return _Look(parts, number, final or number in ended)
    for later in range(number + 1, request.attempt + 1):
        parts += [(later, key) for key in _keys(here, request_id, later, None)]
    return _Look(parts, max(number, request.attempt), final)


def _keys(here: Platform, request_id: UUID, number: int, after: str | None) -> list[str]:
    return here.objects.names(attempt_prefix(request_id, number) + LOG_FOLDER, after) if number else []
