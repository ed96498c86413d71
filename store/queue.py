"""Who is next among the queued requests.

Fair between owners: the owner with the fewest requests at work is next; of two owners alike, the one whose request is older. An
owner's own requests go first come, first served. The place is counted within a GPU class, whose GPUs are what they wait for.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import ColumnElement, Subquery, and_, func, or_, select
from sqlalchemy.orm import Session

from store.models import ACTIVE, Request, State

_GPU = Request.spec["gpu"].astext


@dataclass(frozen=True)
class Waiting:
    """A queued request that need not wait for its next try. `gpu`: its GPU class; `place`: 1 is next."""

    id: UUID
    owner: str
    gpu: str | None
    place: int


def waiting(session: Session, now: datetime) -> list[Waiting]:
    """All of them, who is next first."""
    queue = _queue(now)
    query = select(queue.c.id, queue.c.owner, queue.c.gpu, queue.c.place).order_by(queue.c.turn, queue.c.id)
    return [Waiting(*row) for row in session.execute(query)]


def places(session: Session, ids: Sequence[UUID], now: datetime) -> dict[UUID, int]:
    """The places of those of `ids` that wait in the queue."""
    queue = _queue(now)
    return {id_: place for id_, place in session.execute(select(queue.c.id, queue.c.place).where(queue.c.id.in_(ids)))}


def at_work(session: Session) -> dict[tuple[str, str | None], int]:
    """How many requests are submitted or running, by owner and GPU class."""
    gpu = _GPU.label("gpu")
    query = select(Request.owner, gpu, func.count()).where(Request.state.in_(ACTIVE)).group_by(Request.owner, gpu)
    return {(owner, name): count for owner, name, count in session.execute(query)}


def _queue(now: datetime) -> Subquery:
    """Each waiting request with its turn: how many of its owner's requests would be at work before it."""
    busy = select(Request.owner, func.count().label("count")).where(Request.state.in_(ACTIVE)).group_by(Request.owner).subquery()
    nth = func.row_number().over(partition_by=Request.owner, order_by=Request.id)
    turns = (
        select(Request.id, Request.owner, _GPU.label("gpu"), (nth + func.coalesce(busy.c.count, 0)).label("turn"))
        .outerjoin(busy, busy.c.owner == Request.owner)
        .where(_due(now))
        .subquery()
    )
    place = func.row_number().over(partition_by=turns.c.gpu, order_by=(turns.c.turn, turns.c.id))
    return select(turns, place.label("place")).subquery()


def _due(now: datetime) -> ColumnElement[bool]:
    return and_(Request.state == State.QUEUED, or_(Request.next_try_at.is_(None), Request.next_try_at <= now))
