"""Idempotency keys: one answer a key, owner and day."""

from datetime import UTC, datetime, timedelta

from sqlalchemy import delete, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from store.models import IdempotencyKey

LIFE = timedelta(hours=24)


def find(session: Session, owner: str, key: str) -> IdempotencyKey | None:
    """The committed row of that key, if it is not too old."""
    query = select(IdempotencyKey).where(IdempotencyKey.owner == owner, IdempotencyKey.key == key)
    return session.scalar(query.where(IdempotencyKey.created_at >= datetime.now(UTC) - LIFE))


def begin(session: Session, owner: str, key: str, body_sha256: str) -> IdempotencyKey | None:
    """None: the key is new and now held by this transaction. Otherwise the row that has it.

    A key that another open transaction holds makes this wait for its end (lock_timeout decides how long).
    """
    session.execute(
        delete(IdempotencyKey).where(
            IdempotencyKey.owner == owner, IdempotencyKey.key == key, IdempotencyKey.created_at < datetime.now(UTC) - LIFE
        )
    )
    row = insert(IdempotencyKey).values(owner=owner, key=key, body_sha256=body_sha256)
    if session.scalar(row.on_conflict_do_nothing().returning(IdempotencyKey.key)):
        return None
    return session.scalar(select(IdempotencyKey).where(IdempotencyKey.owner == owner, IdempotencyKey.key == key))


def finish(session: Session, owner: str, key: str, status: int, headers: dict[str, str], body: dict[str, object]) -> None:
    """Keeps the answer, in the request's own commit."""
    row = session.get_one(IdempotencyKey, (owner, key))
    row.status, row.headers, row.body = status, dict(headers), body


def sweep(session: Session) -> None:
    """Forgets keys older than a day."""
    session.execute(delete(IdempotencyKey).where(IdempotencyKey.created_at < datetime.now(UTC) - LIFE))
