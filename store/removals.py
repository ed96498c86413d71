"""Deleting objects that no row points at any more: the commit that let go of them left a note, the sweep follows it."""

import logging

from minio.error import S3Error
from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from store.database import Database
from store.errors import ObjectNotRemovedError
from store.logs import first_line
from store.models import Attempt, Checkpoint, Dataset, Removal, Request
from store.objects import Objects, attempt_prefix

log = logging.getLogger(__name__)


def leftovers(session: Session, request: Request, keep_attempt: int | None = None) -> None:
    """Notes what a final request's attempts left: all but logs, published datasets and the attempt that made the result."""
    session.execute(delete(Checkpoint).where(Checkpoint.request_id == request.id))
    datasets = list(session.scalars(select(Dataset.prefix).where(Dataset.request_id == request.id)))
    for number in session.scalars(select(Attempt.number).where(Attempt.request_id == request.id)):
        prefix = attempt_prefix(request.id, number)
        if number == keep_attempt:
            session.add(Removal(owner=request.owner, prefix=f"{prefix}checkpoints/"))
            continue
        keep = [f"{prefix}log/", *(f"{one}dataset/" for one in datasets if one == prefix)]
        session.add(Removal(owner=request.owner, prefix=prefix, keep=keep))


def sweep(database: Database, objects: Objects, limit: int = 100) -> int:
    """Follows at most `limit` notes, oldest first, and says how many; a note goes once its objects are gone.

    What the object store refuses to delete is left for the next time, and keeps no other from being deleted. Raises urllib3's
    HTTPError when the object store is away.
    """
    followed = 0
    with database.begin() as session:
        query = select(Removal).order_by(Removal.id).limit(limit).with_for_update(skip_locked=True)
        notes = list(session.scalars(query))
        for note in notes:
            try:
                objects.remove(note.prefix, note.keep)
            except (S3Error, ObjectNotRemovedError) as error:
                log.warning("objects stay for now: %s", first_line(error), extra={"prefix": note.prefix})
                continue
            session.delete(note)
            followed += 1
    return followed
