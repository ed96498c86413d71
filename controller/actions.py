"""What can be done about a request: values that `decide` returns and the shell carries out, one a look."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from store.models import State


@dataclass(frozen=True)
class Tail:
    """The container whose last lines are to be kept, because it ended without last words."""

    pod: str
    container: str


@dataclass(frozen=True)
class Submit:
    """Take the request out of the queue as attempt `number`."""

    number: int

    def __str__(self) -> str:
        return f"attempt {self.number} is submitted"


@dataclass(frozen=True)
class CreateJob:
    """Give the attempt its Job, or find the one that was created before a crash."""

    attempt: UUID

    def __str__(self) -> str:
        return "its Job is created"


@dataclass(frozen=True)
class Acknowledge:
    """Note that the cluster has the Job."""

    attempt: UUID
    job_uid: str

    def __str__(self) -> str:
        return "its Job was found"


@dataclass(frozen=True)
class Requeue:
    """Back to the queue for another attempt."""

    number: int
    counted: bool
    code: str
    message: str
    next_try_at: datetime | None
    tail: Tail | None = None

    def __str__(self) -> str:
        how = "counted" if self.counted else "not counted"
        return f"attempt {self.number} goes back to the queue, {how}: {self.code}: {self.message}"


@dataclass(frozen=True)
class Finish:
    """End the request as failed or cancelled."""

    number: int
    state: State
    code: str | None = None
    message: str | None = None
    tail: Tail | None = None

    def __str__(self) -> str:
        why = f": {self.code}: {self.message}" if self.code else ""
        return f"attempt {self.number} ends the request as {self.state}{why}"


@dataclass(frozen=True)
class DeleteJob:
    """Delete the Job and the pods that carry its name; what still runs gets SIGTERM and its grace."""

    job_name: str

    def __str__(self) -> str:
        return f"{self.job_name} is deleted"


@dataclass(frozen=True)
class MarkCleaned:
    """Note that nothing of the attempt is left on the cluster."""

    attempt: UUID

    def __str__(self) -> str:
        return "nothing of the attempt is left on the cluster"


@dataclass(frozen=True)
class Wait:
    """Nothing to do now. `reason` is shown to the user; look again at `until`, or when something changes."""

    reason: str | None = None
    until: datetime | None = None


@dataclass(frozen=True)
class Done:
    """Final, and nothing is left of it."""


Action = Submit | CreateJob | Acknowledge | Requeue | Finish | DeleteJob | MarkCleaned | Wait | Done
