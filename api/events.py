"""GET /v1/requests/{id}/events: what happened, as a page of JSON or as server-sent events."""

import json
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Header, Query
from fastapi.responses import Response, StreamingResponse

from api import answers, paging
from api.bodies import LARGEST
from api.platform import Here, Platform
from api.problems import documented
from api.streams import looks, now
from store import errors as refused
from store import requests
from store.models import FINAL, Event

router = APIRouter(tags=["requests"])

BATCH = 100
EVENT_STREAM = "text/event-stream"


@dataclass(frozen=True)
class _Look:
    """What one look at the database found."""

    events: list[Event]
    final: bool
    progress: dict[str, Any]


@router.get(
    "/v1/requests/{request_id}/events", summary="Follow what happens", response_model=answers.EventPage,
    responses={
        200: {"description": "A page, or with `Accept: text/event-stream` a stream", "content": {EVENT_STREAM: {}}},
        **documented(refused.RequestNotFoundError),
    },
)  # fmt: skip
def events(
    request_id: UUID,
    here: Here,
    after: Annotated[int, Query(ge=0, le=LARGEST, description="Events after this id")] = 0,
    limit: paging.Limit = 100,
    accept: Annotated[str, Header(include_in_schema=False)] = "",
    last_event_id: Annotated[int | None, Header(ge=0, le=LARGEST, description="As `after`, for a stream that goes on")] = None,
) -> Response:
    """The stream ends after the final event. Beside the events it tells of progress, in messages without an id."""
    after = after if last_event_id is None else last_event_id
    with here.database.look() as session:
        requests.get(session, request_id, here.owner)
        if EVENT_STREAM not in accept:
            items = [answers.of_event(row) for row in requests.events(session, request_id, here.owner, after, limit)]
            page = answers.EventPage(items=items, after=items[-1].id if items else after)
            return Response(page.model_dump_json(), media_type="application/json")
    return StreamingResponse(_stream(here, request_id, after), media_type=EVENT_STREAM, headers={"X-Accel-Buffering": "no"})


async def _stream(here: Platform, request_id: UUID, after: int) -> AsyncIterator[str]:
    position = after
    shown: dict[str, Any] = {}
    written = now()
    yield ": the stream begins\n\n"
    async with aclosing(looks(here, request_id, lambda: _look(here, request_id, position))) as found_again:
        async for found in found_again:
            messages = [] if found is None else [_event(event) for event in found.events]
            if found is not None and found.events:
                position = found.events[-1].id
            if found is not None and found.progress != shown:
                shown = found.progress
                messages.append(_message("progress", json.dumps(shown, ensure_ascii=False)))
            if not messages and now() - written >= here.settings.heartbeat_seconds:
                messages = [": still here\n\n"]
            if messages:
                written = now()
                yield "".join(messages)
            if found is not None and found.final:
                return


def _look(here: Platform, request_id: UUID, after: int) -> _Look:
    with here.database.look() as session:
        # The state first: a final one is committed together with its event, so that event is among those read next.
        request = requests.get(session, request_id, here.owner)
        found: list[Event] = []
        while batch := requests.events(session, request_id, here.owner, found[-1].id if found else after, BATCH):
            found += batch
    progress = {
        "state": request.state, "stage": request.stage, "progress": request.progress, "eta_seconds": request.eta_seconds,
        "waiting_reason": request.waiting_reason, "attempt": request.attempt,
    }  # fmt: skip
    return _Look(found, request.state in FINAL, progress)


def _event(row: Event) -> str:
    return _message(row.type, answers.of_event(row).model_dump_json(), row.id)


def _message(type_: str, data: str, identity: int | None = None) -> str:
    mark = "" if identity is None else f"id: {identity}\n"
    return f"{mark}event: {type_}\ndata: {data}\n\n"
