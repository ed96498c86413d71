"""The connection to PostgreSQL: sessions for work, one listener for hints."""

from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID

import psycopg
from sqlalchemy import create_engine, make_url, text
from sqlalchemy.orm import Session, sessionmaker

CHANNEL = "geneface_requests"
CONNECT_SECONDS = 5


class Database:
    """Sessions on one PostgreSQL. Safe to share between threads."""

    def __init__(self, url: str, pool_size: int = 10) -> None:
        """`url`: postgresql://user:password@host/name, or with ?host=/folder/of/the/socket."""
        self.url = make_url(url).set(drivername="postgresql+psycopg")
        self.engine = create_engine(
            self.url,
            pool_size=pool_size,
            max_overflow=pool_size,
            pool_timeout=CONNECT_SECONDS,
            pool_pre_ping=True,
            connect_args={"connect_timeout": CONNECT_SECONDS, "options": "-c timezone=UTC -c statement_timeout=30000"},
        )
        self._sessions = sessionmaker(self.engine, expire_on_commit=False)

    @contextmanager
    def begin(self) -> Iterator[Session]:
        """A session in one transaction: committed at the end, rolled back on an error."""
        with self._sessions.begin() as session:
            yield session

    def ping(self) -> None:
        """Raises sqlalchemy.exc.OperationalError when PostgreSQL does not answer."""
        with self.engine.connect() as connection:
            connection.execute(text("SELECT 1"))

    def hints(self, timeout: float) -> Iterator[UUID | None]:
        """Yields the ids of requests that changed, and None whenever `timeout` seconds passed without one.

        Hints may be lost: poll as well. Ends with psycopg.OperationalError when the connection breaks.
        """
        dsn = self.url.set(drivername="postgresql").render_as_string(hide_password=False)
        with psycopg.connect(dsn, autocommit=True, connect_timeout=CONNECT_SECONDS) as connection:
            connection.execute(f"LISTEN {CHANNEL}")
            yield None
            while True:
                notified = False
                for notify in connection.notifies(timeout=timeout, stop_after=1):
                    notified = True
                    yield UUID(notify.payload)
                if not notified:
                    yield None

    def close(self) -> None:
        self.engine.dispose()


def notify(session: Session, request_id: UUID) -> None:
    """Says with the commit: look again at this request."""
    session.execute(text("SELECT pg_notify(:channel, :id)"), {"channel": CHANNEL, "id": str(request_id)})
