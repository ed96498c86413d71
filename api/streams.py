"""Answers that go on: they wait for a change, look again, and end with the request, the client, or the API."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable
from typing import TypeVar
from uuid import UUID

from starlette.concurrency import run_in_threadpool

from api.changes import pause
from api.platform import Platform
from api.problems import AWAY
from store.errors import NotFoundError

_log = logging.getLogger("api.streams")

Found = TypeVar("Found")


async def looks(platform: Platform, request_id: UUID, look: Callable[[], Found]) -> AsyncGenerator[Found | None, None]:
    """What `look` finds, again and again: after each hint of a change, or when none came for `poll_seconds`.

    None: nothing was seen, because a server that it needs is away. Ends when the request is deleted or the API stops; a client
    that goes away ends it from outside.
    """
    with platform.changes.watch(request_id) as changed:
        while not platform.stopping.is_set():
            try:
                found = await run_in_threadpool(look)
            except AWAY as error:
                _log.warning("stream of %s goes on later: %s", request_id, type(error).__name__)
                yield None
            except NotFoundError:
                return
            else:
                yield found
            if not platform.stopping.is_set():
                await pause(changed, platform.settings.poll_seconds)


def now() -> float:
    """Monotonic seconds."""
    return asyncio.get_running_loop().time()
