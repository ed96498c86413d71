"""What every endpoint works with: settings, database, objects, hints of change, and the word that it is time to stop."""

import threading
from dataclasses import dataclass, field, replace
from typing import Annotated

from anyio import CapacityLimiter
from fastapi import Depends, Request

from api.changes import Changes
from api.errors import OwnerMissingError
from api.measures import Measures
from api.settings import Settings
from store.database import Database
from store.objects import Objects

OWNER = "local"
"""Whose rows all are where no proxy says who is asking."""
OWNER_LENGTH = 200


@dataclass(frozen=True)
class Platform:
    """One per application."""

    settings: Settings
    database: Database
    objects: Objects
    changes: Changes
    measures: Measures
    uploads: CapacityLimiter
    """How many uploads are taken in at once, in threads of their own, so that slow ones do not keep others waiting."""
    stopping: threading.Event = field(default_factory=threading.Event)
    caller: str | None = OWNER
    """Who is asking; None: the proxy that should say so did not."""

    @property
    def owner(self) -> str:
        """Whose rows the caller sees and makes. Raises OwnerMissingError."""
        if self.caller is None:
            raise OwnerMissingError
        return self.caller

    def stop(self) -> None:
        """Ends open event and log streams, so that the server can stop without cutting answers off."""
        self.stopping.set()
        self.changes.wake_all()


async def _platform(request: Request) -> Platform:
    platform: Platform = request.app.state.platform
    header = platform.settings.owner_header
    if header is None:
        return platform
    name = request.headers.get(header, "").strip()
    return replace(platform, caller=name if 0 < len(name) <= OWNER_LENGTH else None)


Here = Annotated[Platform, Depends(_platform)]
