"""GET and DELETE /v1/avatars."""

from typing import Annotated

from fastapi import APIRouter, Path

from api import answers, errors, paging
from api.bodies import NAME
from api.platform import Here
from api.problems import documented
from store import avatars
from store import errors as refused

router = APIRouter(tags=["avatars"])

NamePath = Annotated[str, Path(pattern=NAME, max_length=63)]


@router.get("/v1/avatars", summary="List avatars", responses=documented(errors.CursorInvalidError))
def listed(here: Here, limit: paging.Limit = 50, cursor: paging.Cursor = None) -> answers.AvatarPage:
    """By name, with their versions."""
    after = paging.after_name(cursor)
    with here.database.look() as session:
        found = avatars.listed(session, here.owner, limit + 1, after)
        page = found[:limit]
        versions = avatars.versions_of(session, page)
    items = [answers.of_avatar(row, versions[row.id]) for row in page]
    return answers.AvatarPage(items=items, cursor=paging.cursor(page[-1].name if len(found) > limit else None))


@router.get(
    "/v1/avatars/{name}", summary="See an avatar", responses=documented(refused.AvatarNotFoundError, errors.NameInvalidError)
)
def one(name: NamePath, here: Here) -> answers.AvatarAnswer:
    """With its versions, newest first."""
    with here.database.look() as session:
        avatar = avatars.get(session, here.owner, name)
        return answers.of_avatar(avatar, avatars.versions(session, avatar))


@router.delete(
    "/v1/avatars/{name}", status_code=204, summary="Delete an avatar",
    responses=documented(refused.AvatarNotFoundError, refused.AvatarInUseError, errors.NameInvalidError),
)  # fmt: skip
def remove(name: NamePath, here: Here) -> None:
    """With its versions, its requests and all that they made. Not while a request that uses any of it is not final."""
    with here.database.begin() as session:
        avatars.remove(session, here.owner, name)
