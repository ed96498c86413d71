"""GET and DELETE /v1/voices. A POST is a submission: the recording has to be examined."""

from fastapi import APIRouter

from api import answers, errors, paging, speech
from api.avatars import NamePath
from api.platform import Here
from api.problems import documented
from store import errors as refused
from store import voices

router = APIRouter(tags=["voices"])


@router.get("/v1/voices", summary="List voices", responses=documented(errors.CursorInvalidError))
def listed(here: Here, limit: paging.Limit = 50, cursor: paging.Cursor = None) -> answers.VoicePage:
    """By name: those that were enrolled, ready or not; and the names of those that are built in."""
    after = paging.after_name(cursor)
    with here.database.look() as session:
        found = voices.listed(session, here.owner, limit + 1, after)
    page = found[:limit]
    items = [answers.of_voice(one, here.objects) for one in page]
    return answers.VoicePage(
        items=items,
        built_in=speech.built_in(here.settings),
        cursor=paging.cursor(page[-1].voice.name if len(found) > limit else None),
    )


@router.get("/v1/voices/{name}", summary="See a voice", responses=documented(refused.VoiceNotFoundError, errors.NameInvalidError))
def one(name: NamePath, here: Here) -> answers.VoiceAnswer:
    """Whether it is ready, what its recording was found to be, and a link to listen to it."""
    with here.database.look() as session:
        found = voices.get(session, here.owner, name)
    return answers.of_voice(found, here.objects)


@router.delete(
    "/v1/voices/{name}", status_code=204, summary="Delete a voice",
    responses=documented(refused.VoiceNotFoundError, refused.VoiceInUseError, errors.NameInvalidError),
)  # fmt: skip
def remove(name: NamePath, here: Here) -> None:
    """With its enrolment and the cleaned recording. What was uploaded, and what was spoken with it, is deleted by itself."""
    with here.database.begin() as session:
        voices.remove(session, here.owner, name)
