"""Hints that a request has changed, from PostgreSQL's NOTIFY to the streams that wait for it.

One thread listens and wakes the streams of that request. Hints may be lost, and there are none while the database is away:
a stream looks again by itself when none comes.
"""

import asyncio
import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID

from store.database import Database
from store.logs import first_line

_log = logging.getLogger("api.changes")

LISTEN_SECONDS = 0.5
"""How soon the thread notices that it should end."""
RETRY_SECONDS = 2.0


class Changes:
    """Streams wait here. `start` and `stop` belong to the application's lifespan."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._waiting: dict[UUID, set[asyncio.Event]] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._listen, name="changes", daemon=True)

    def start(self) -> None:
        """Begins to listen; call it on the event loop's thread."""
        self._loop = asyncio.get_running_loop()
        self._thread.start()

    def stop(self) -> None:
        """Ends the thread, within about LISTEN_SECONDS."""
        self._ending.set()
        self._thread.join(timeout=10)

    @contextmanager
    def watch(self, request_id: UUID) -> Iterator[asyncio.Event]:
        """An event that is set whenever the request changes; the watcher clears it."""
        event = asyncio.Event()
        self._waiting.setdefault(request_id, set()).add(event)
        try:
            yield event
        finally:
            watchers = self._waiting[request_id]
            watchers.discard(event)
            if not watchers:
                del self._waiting[request_id]

    def wake_all(self) -> None:
        """Wakes every stream; from any thread."""
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._wake, None)

    def _wake(self, request_id: UUID | None) -> None:
        found = [self._waiting.get(request_id, set())] if request_id else list(self._waiting.values())
        for event in [event for group in found for event in group]:
            event.set()

    def _listen(self) -> None:
        while not self._ending.is_set():
            try:
                for request_id in self._database.hints(timeout=LISTEN_SECONDS):
                    if self._ending.is_set():
                        return
                    if request_id is not None and self._loop is not None:
                        self._loop.call_soon_threadsafe(self._wake, request_id)
            except Exception as error:
                _log.warning("no hints from the database: %s", first_line(error))
                self._ending.wait(RETRY_SECONDS)


async def pause(event: asyncio.Event, seconds: float) -> None:
    """Until the event is set, `seconds` at most; the event is clear afterwards."""
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        pass
    event.clear()
