"""A request as its owner sees it: made, listed, cancelled, with what happened to it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, cast
from uuid import UUID

from sqlalchemy import Table, Text, bindparam, func, insert, literal, select, update
from sqlalchemy import cast as sql_cast
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Session

from store import removals
from store.database import CHANNEL
from store.errors import RequestNotFoundError
from store.models import FINAL, OPEN, Event, Json, Kind, Request, State

STOPPING = "cancel_requested"

# Statements that every request passes are made once: a SELECT by the ORM that is made anew takes twice the CPU.
_REQUESTS, _EVENTS = cast(Table, Request.__table__), cast(Table, Event.__table__)
_GIVEN = ("owner", "kind", "spec", "uses", "avatar", "avatar_version", "conversation")
_CREATE = select(Request).from_statement(
    insert(_REQUESTS).values({name: bindparam(name) for name in _GIVEN}).returning(*_REQUESTS.c)
)
_RECORD = insert(_EVENTS).returning(func.pg_notify(CHANNEL, sql_cast(_EVENTS.c.subject, Text)))


@dataclass(frozen=True)
class Page:
    """Newest first. `cursor` brings the next page; None: this was the last."""

    items: list[Request]
    cursor: UUID | None


def create(
    session: Session,
    *,
    owner: str,
    kind: Kind,
    spec: Json,
    uses: list[str],
    avatar: str | None = None,
    avatar_version: int | None = None,
    conversation: UUID | None = None,
) -> Request:
    """A queued request and its first event, in the caller's transaction.

    `spec["inputs"]` lists what the Job reads: {"name", "key", "size", "sha256"}, name = path below the work folder.
    """
    row = {
        "owner": owner, "kind": kind, "spec": spec, "uses": uses, "avatar": avatar, "avatar_version": avatar_version,
        "conversation": conversation,
    }  # fmt: skip
    request: Request = session.scalars(_CREATE, row).one()
    record(session, request, "created")
    return request


def record(session: Session, request: Request, type_: str, **data: Any) -> None:
    """Appends an event and hints at the change."""
    data = {"state": request.state, **data}
    session.execute(_RECORD, {"subject": request.id, "owner": request.owner, "type": type_, "data": data})


def get(session: Session, request_id: UUID, owner: str, keep: bool = False) -> Request:
    """`keep`: it cannot be deleted until the transaction ends. Raises RequestNotFoundError."""
    query = select(Request).where(Request.id == request_id, Request.owner == owner)
    request = session.scalar(query.with_for_update(read=True, key_share=True) if keep else query)
    if request is None:
        raise RequestNotFoundError(f"there is no request {request_id}")
    return request


def locked(session: Session, request_id: UUID) -> Request | None:
    """The request, locked until the transaction ends: every change to it or to its attempts begins here."""
    return session.scalar(
        select(Request).where(Request.id == request_id).with_for_update(key_share=True).execution_options(populate_existing=True)
    )


def page(
    session: Session,
    *,
    owner: str,
    kind: str | None = None,
    state: str | None = None,
    avatar: str | None = None,
    limit: int = 50,
    cursor: UUID | None = None,
) -> Page:
    """Requests older than `cursor`, at most `limit`."""
    chosen = select(Request.id).where(Request.owner == owner).order_by(Request.id.desc()).limit(limit + 1)
    for column, wanted in ((Request.kind, kind), (Request.state, state), (Request.avatar, avatar)):
        if wanted is not None:
            chosen = chosen.where(column == wanted)
    if cursor is not None:
        chosen = chosen.where(Request.id < cursor)
    # The ids first, from the filter's own index alone: asked for whole rows, PostgreSQL would rather run through the primary key
    # and look at each, which is slow where few of them match.
    first = chosen.subquery()
    found = list(session.scalars(select(Request).join(first, first.c.id == Request.id).order_by(Request.id.desc())))
    return Page(found[:limit], found[limit - 1].id if len(found) > limit else None)


def cancel(session: Session, request_id: UUID, owner: str) -> Request:
    """Queued → cancelled at once; submitted or running → marked, and the worker hears it; final → unchanged."""
    get(session, request_id, owner)
    request = locked(session, request_id)
    if request is None:
        raise RequestNotFoundError(f"there is no request {request_id}")
    now = datetime.now(UTC)
    if request.state == State.QUEUED:
        request.state, request.finished_at, request.cancel_requested_at = State.CANCELLED, now, now
        request.waiting_reason = request.next_try_at = None
        removals.leftovers(session, request)
        record(session, request, "cancelled")
    elif request.state not in FINAL and request.cancel_requested_at is None:
        request.cancel_requested_at = now
        record(session, request, STOPPING)
    return request


def events(session: Session, subject: UUID, owner: str, after: int = 0, limit: int = 100) -> list[Event]:
    """Events with ids above `after`, in order."""
    query = select(Event).where(Event.subject == subject, Event.owner == owner, Event.id > after)
    return list(session.scalars(query.order_by(Event.id).limit(limit)))


def counts(session: Session, states: Sequence[State]) -> dict[tuple[str, str], int]:
    """How many requests there are in these states, by kind and state. Final ones take 0.15 s a million."""
    query = select(Request.kind, Request.state, func.count()).where(Request.state.in_(states))
    return {(kind, state): number for kind, state, number in session.execute(query.group_by(Request.kind, Request.state))}


def queue_age(session: Session) -> float:
    """Seconds that the oldest queued request has waited; 0: the queue is empty."""
    oldest = session.scalar(select(func.min(Request.created_at)).where(Request.state == State.QUEUED))
    return 0.0 if oldest is None else max(0.0, (datetime.now(UTC) - oldest).total_seconds())


def users(session: Session, owner: str, marks: list[str]) -> list[UUID]:
    """Open requests that use any of `marks` (see Request.uses)."""
    query = select(Request.id).where(
        Request.owner == owner,
        Request.state.in_(OPEN),
        Request.uses.op("?|")(sql_cast(literal(marks, ARRAY(Text)), ARRAY(Text))),
    )
    return list(session.scalars(query))


def set_waiting(session: Session, request_id: UUID, attempt: int, reason: str | None) -> None:
    """Why it does not run yet. No event: this is shown, not history."""
    session.execute(
        update(Request)
        .where(Request.id == request_id, Request.attempt == attempt, Request.state.not_in(FINAL))
        .values(waiting_reason=reason)
    )
