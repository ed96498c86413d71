"""GET /v1/conversations."""

from uuid import UUID

from fastapi import APIRouter

from api import answers, errors, paging
from api.platform import Here
from api.problems import documented
from store import conversations
from store import errors as refused

router = APIRouter(tags=["conversations"])


@router.get(
    "/v1/conversations/{conversation_id}", summary="Read a conversation",
    responses=documented(refused.ConversationNotFoundError, errors.CursorInvalidError),
)  # fmt: skip
def one(conversation_id: UUID, here: Here, limit: paging.Limit = 50, cursor: paging.Cursor = None) -> answers.ConversationAnswer:
    """What was asked and answered, oldest first. Dialogues that failed are no part of it."""
    after = paging.after_id(cursor)
    with here.database.look() as session:
        under_way = conversations.under_way(session, here.owner, conversation_id)
        found = conversations.turns(session, here.owner, conversation_id, limit + 1, after)
    last = found[limit - 1].request if len(found) > limit else None
    turns = [answers.of_turn(turn) for turn in found[:limit]]
    return answers.ConversationAnswer(id=conversation_id, turns=turns, under_way=under_way, cursor=paging.cursor(last))
