"""Idempotency keys: one answer a key, owner and day."""

from datetime import UTC, datetime, timedelta

from sqlalchemy import bindparam, delete, select, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Session

from store.models import IdempotencyKey, Json

LIFE = timedelta(hours=24)
WAIT = "1s"
"""How long a second request waits for the first to end."""

_FIND = select(IdempotencyKey).where(
    IdempotencyKey.owner == bindparam("owner"),
    IdempotencyKey.key == bindparam("key"),
    IdempotencyKey.created_at >= bindparam("since"),
)
_KEEP = text("""
    INSERT INTO idempotency_keys AS old (owner, key, body_sha256, status, headers, body)
    SELECT :owner, :key, :body_sha256, :status, :headers, :body FROM (SELECT set_config('lock_timeout', :wait, true)) AS before
    ON CONFLICT (owner, key) DO UPDATE
        SET (body_sha256, status, headers, body, created_at)
            = (excluded.body_sha256, excluded.status, excluded.headers, excluded.body, excluded.created_at)
        WHERE old.created_at < :forgotten
    RETURNING key
""").bindparams(bindparam("headers", type_=JSONB), bindparam("body", type_=JSONB))


def find(session: Session, owner: str, key: str) -> IdempotencyKey | None:
    """The committed row of that key, if it is not too old."""
    return session.scalar(_FIND, {"owner": owner, "key": key, "since": datetime.now(UTC) - LIFE})


def keep(session: Session, row: IdempotencyKey) -> bool:
    """Keeps the answer, in the request's own commit. False: the key has an answer already.

    A key that another open transaction keeps makes this wait for its end, and raise OperationalError after WAIT.
    """
    given: Json = {"owner": row.owner, "key": row.key, "body_sha256": row.body_sha256, "status": row.status}
    given |= {"headers": row.headers, "body": row.body, "wait": WAIT, "forgotten": datetime.now(UTC) - LIFE}
    return session.execute(_KEEP, given).first() is not None


def sweep(session: Session) -> None:
    """Forgets keys older than a day."""
    session.execute(delete(IdempotencyKey).where(IdempotencyKey.created_at < datetime.now(UTC) - LIFE))
