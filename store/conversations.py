"""Conversations: the dialogues that belong together, one after the other. A turn is what a dialogue's result says of it."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from store.errors import ConversationBusyError, ConversationNotFoundError
from store.models import OPEN, Json, Request, State

TURNS_TOLD = 20
"""The last ones, as history of the next dialogue."""


@dataclass(frozen=True)
class Turn:
    """A question that was answered. `said`: what the worker published: question, reply, transcript, language, model."""

    request: UUID
    at: datetime | None
    said: Json


def history(session: Session, owner: str, conversation: UUID) -> list[Json]:
    """What was said so far, as the next dialogue is told it: {"role", "text"}, oldest first.

    Two dialogues of one conversation that come at once pass here one after the other. Raises ConversationNotFoundError,
    ConversationBusyError.
    """
    its = select(Request.id).where(Request.conversation == conversation, Request.owner == owner)
    if session.scalar(its.order_by(Request.id).limit(1).with_for_update(key_share=True)) is None:
        raise ConversationNotFoundError(f"there is no conversation {conversation}")
    if (busy := session.scalar(its.where(Request.state.in_(OPEN)).limit(1))) is not None:
        raise ConversationBusyError(f"request {busy} of conversation {conversation} is still under way")
    last = turns(session, owner, conversation, TURNS_TOLD, newest=True)
    return [
        {"role": role, "text": turn.said[name]} for turn in last for role, name in (("user", "question"), ("assistant", "reply"))
    ]


def turns(
    session: Session, owner: str, conversation: UUID, limit: int, after: UUID | None = None, newest: bool = False
) -> list[Turn]:
    """Answered ones, oldest first: those after the dialogue `after`, or the `newest`, `limit` at most."""
    query = select(Request.id, Request.finished_at, Request.result["turn"]).where(
        Request.conversation == conversation, Request.owner == owner, Request.state == State.SUCCEEDED
    )
    if after is not None:
        query = query.where(Request.id > after)
    rows = session.execute(query.order_by(Request.id.desc() if newest else Request.id).limit(limit))
    found = [Turn(request, at, said) for request, at, said in rows]
    return found[::-1] if newest else found


def under_way(session: Session, owner: str, conversation: UUID) -> UUID | None:
    """Its dialogue that is not final yet. Raises ConversationNotFoundError."""
    query = select(Request.id, Request.state).where(Request.conversation == conversation, Request.owner == owner)
    rows = session.execute(query).all()
    if not rows:
        raise ConversationNotFoundError(f"there is no conversation {conversation}")
    return next((request for request, state in rows if state in OPEN), None)
