"""GET and DELETE /v1/requests."""

from datetime import UTC, datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Response

from api import answers, errors, paging
from api.platform import Here
from api.problems import documented
from store import attempts, queue, requests
from store import errors as refused
from store.models import FINAL, Kind, State

router = APIRouter(tags=["requests"])


@router.get("/v1/requests", summary="List requests", responses=documented(errors.CursorInvalidError, errors.NameInvalidError))
def listed(
    here: Here,
    kind: Annotated[Kind | None, Query()] = None,
    state: Annotated[State | None, Query()] = None,
    avatar: paging.AvatarFilter = None,
    limit: paging.Limit = 50,
    cursor: paging.Cursor = None,
) -> answers.RequestPage:
    """Newest first."""
    after = paging.after_id(cursor)
    with here.database.look() as session:
        page = requests.page(session, owner=here.owner, kind=kind, state=state, avatar=avatar, limit=limit, cursor=after)
        queued = [row.id for row in page.items if row.state == State.QUEUED]
        places = queue.places(session, queued, datetime.now(UTC)) if queued else {}
    items = [answers.of_request(row, here, None, places.get(row.id)) for row in page.items]
    return answers.RequestPage(items=items, cursor=paging.cursor(page.cursor))


@router.get("/v1/requests/{request_id}", summary="See a request", responses=documented(refused.RequestNotFoundError))
def one(request_id: UUID, here: Here) -> answers.RequestAnswer:
    """How far it is and, when it has succeeded, its outputs with links that are good for an hour."""
    return _seen(here, request_id)


@router.delete(
    "/v1/requests/{request_id}", summary="Cancel a request",
    responses={
        200: {"description": "Cancelled, or final before: then nothing has changed"},
        202: {"description": "It is being stopped", "model": answers.RequestAnswer},
        **documented(refused.RequestNotFoundError),
    },
)  # fmt: skip
def cancel(request_id: UUID, here: Here, response: Response) -> answers.RequestAnswer:
    """A queued one is cancelled at once; one that runs is stopped, unless its result is published first."""
    with here.database.begin() as session:
        request = requests.cancel(session, request_id, here.owner)
    response.status_code = 200 if request.state in FINAL else 202
    return _seen(here, request_id)


def _seen(here: Here, request_id: UUID) -> answers.RequestAnswer:
    with here.database.look() as session:
        request = requests.get(session, request_id, here.owner)
        tries = attempts.of_request(session, request)
        places = queue.places(session, [request.id], datetime.now(UTC)) if request.state == State.QUEUED else {}
    return answers.of_request(request, here, tries, places.get(request.id))
