"""The connection to PostgreSQL: sessions for work, one listener for hints."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TypeVar
from uuid import UUID

import psycopg
from psycopg.abc import PQGen
from psycopg.pq import TransactionStatus
from sqlalchemy import Connection, create_engine, event, make_url, text
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import InterfaceError, InvalidatePoolError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.orm import Session, sessionmaker
from sqlalchemy.pool import ConnectionPoolEntry

CHANNEL = "geneface_requests"
CONNECT_SECONDS = 5
STATEMENT_SECONDS = 30
"""PostgreSQL ends a statement that takes longer."""
ANSWER_SECONDS = 35.0
"""A server that has not even ended the statement by then hangs."""
IDLE_SECONDS = 1.0
"""A connection that was used so recently is taken to live; if it does not, its statement fails as when PostgreSQL is away."""
AWAY = (OperationalError, InterfaceError, PoolTimeoutError, psycopg.OperationalError)
"""What is raised while the database does not answer; it passes."""

_TCP: dict[str, Any] = {"keepalives_idle": 30, "keepalives_interval": 10, "keepalives_count": 3, "tcp_user_timeout": 30_000}
"""A node that is gone without a word is noticed within a minute; also by whoever only listens."""

_USED = "used"
Found = TypeVar("Found")


class _Driver(psycopg.Connection[Any]):
    """A connection that gives up a server that hangs: one that is stopped or stuck still answers as far as TCP can tell."""

    answer_seconds: float | None = ANSWER_SECONDS

    def wait(self, gen: PQGen[Found], interval: float = 0.1, timeout: float | None = None) -> Found:
        try:
            return super().wait(gen, interval, self.answer_seconds if timeout is None else timeout)
        except psycopg.OperationalError:
            if self.pgconn.transaction_status == TransactionStatus.ACTIVE:
                self.close()  # in the middle of a statement: nothing else can be asked of it
            raise


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
            connect_args={
                "connect_timeout": CONNECT_SECONDS,
                "options": f"-c timezone=UTC -c statement_timeout={STATEMENT_SECONDS}s",
                **_TCP,
            },
        )
        event.listen(self.engine, "do_connect", lambda _dialect, _record, _given, named: _Driver.connect(**named))
        event.listen(self.engine, "checkin", _note_use)
        event.listen(self.engine, "checkout", self._ping_if_idle)
        self._sessions = sessionmaker(self.engine, expire_on_commit=False)
        self._looks = sessionmaker(self.engine.execution_options(isolation_level="AUTOCOMMIT"), expire_on_commit=False)

    @contextmanager
    def begin(self) -> Iterator[Session]:
        """A session in one transaction: committed at the end, rolled back on an error."""
        with self._sessions.begin() as session:
            yield session

    @contextmanager
    def look(self) -> Iterator[Session]:
        """A session for reading. Each statement stands alone: the server is asked for no BEGIN and COMMIT around it."""
        with self._looks() as session:
            yield session

    @contextmanager
    def unhurried(self) -> Iterator[Connection]:
        """A connection in one transaction whose statements may take as long as they need, as migrations do."""
        with self.engine.begin() as connection:
            connection.execute(text("SET LOCAL statement_timeout = 0"))
            driver = connection.connection.driver_connection
            assert isinstance(driver, _Driver)  # noqa: S101 - made above
            driver.answer_seconds = None
            try:
                yield connection
            finally:
                del driver.answer_seconds

    def ping(self) -> None:
        """Raises sqlalchemy.exc.OperationalError when PostgreSQL does not answer."""
        with self.engine.connect() as connection:
            connection.execute(text("SELECT 1"))

    def hints(self, timeout: float) -> Iterator[UUID | None]:
        """Yields the ids of requests that changed, and None whenever `timeout` seconds passed without one.

        Hints may be lost: poll as well. Ends with psycopg.OperationalError when the connection breaks.
        """
        dsn = self.url.set(drivername="postgresql").render_as_string(hide_password=False)
        with _Driver.connect(dsn, autocommit=True, connect_timeout=CONNECT_SECONDS, **_TCP) as connection:
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

    def _ping_if_idle(self, driver: DBAPIConnection, record: ConnectionPoolEntry, _: object) -> None:
        used = record.info.get(_USED)
        if used is None or time.monotonic() - used < IDLE_SECONDS:
            return
        try:
            self.engine.dialect.do_ping(driver)
        except psycopg.OperationalError as error:
            raise InvalidatePoolError from error  # the pool then makes new connections


def _note_use(_: DBAPIConnection | None, record: ConnectionPoolEntry) -> None:
    record.info[_USED] = time.monotonic()
