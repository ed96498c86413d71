"""Deleting objects whose rows are gone: the commit that deleted the rows left a note, the sweep follows it."""

from sqlalchemy import select

from store.database import Database
from store.models import Removal
from store.objects import Objects


def sweep(database: Database, objects: Objects, limit: int = 100) -> int:
    """Removes the objects of at most `limit` notes, oldest first, and says how many; a note goes once its objects are gone."""
    with database.begin() as session:
        query = select(Removal).order_by(Removal.id).limit(limit).with_for_update(skip_locked=True)
        notes = list(session.scalars(query))
        for note in notes:
            objects.remove(note.prefix)
            session.delete(note)
    return len(notes)
