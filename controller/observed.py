"""What is seen: rows of the store and objects of the cluster, read once at the edge into frozen dataclasses.

Jobs and pods come as the API server's plain dicts; LocalCluster gives the same shapes. A field that is missing reads as absent.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Self
from uuid import UUID

from store import models

Raw = Mapping[str, Any]

REQUEST_LABEL = "geneface.io/request"
ATTEMPT_LABEL = "geneface.io/attempt"
JOB_LABELS = ("batch.kubernetes.io/job-name", "job-name")
"""Which Job a pod belongs to; the second: from before Kubernetes 1.27."""
INSTANCE_LABEL = "app.kubernetes.io/instance"
MANAGED_BY_LABEL, MANAGED_BY = "app.kubernetes.io/managed-by", "geneface-controller"
ATTEMPT_ID = "geneface.io/attempt-id"
"""Annotation: the attempt's own id, which tells an attempt from one of the same number in a restored database."""


@dataclass(frozen=True)
class Request:
    """What deciding needs of a request's row."""

    id: UUID
    state: models.State
    attempt: int = 0
    tries: int = 0
    disruptions: int = 0
    next_try_at: datetime | None = None
    waiting_reason: str | None = None
    cancel_requested_at: datetime | None = None
    finished_at: datetime | None = None

    @classmethod
    def of(cls, row: models.Request) -> Self:
        return cls(
            id=row.id, state=models.State(row.state), attempt=row.attempt, tries=row.tries, disruptions=row.disruptions,
            next_try_at=row.next_try_at, waiting_reason=row.waiting_reason, cancel_requested_at=row.cancel_requested_at,
            finished_at=row.finished_at,
        )  # fmt: skip

    @property
    def final(self) -> bool:
        return self.state in models.FINAL


@dataclass(frozen=True)
class Attempt:
    """What deciding needs of an attempt's row."""

    id: UUID
    number: int
    job_name: str
    job_uid: str | None = None
    run: str | None = None
    cleaned: bool = False

    @classmethod
    def of(cls, row: models.Attempt) -> Self:
        return cls(row.id, row.number, row.job_name, row.job_uid, row.run, row.cleaned_at is not None)

    @property
    def acknowledged(self) -> bool:
        """Whether the Job has been there: the cluster said so, or one of its pods has claimed the attempt."""
        return self.job_uid is not None or self.run is not None


@dataclass(frozen=True)
class Condition:
    """A condition that is `True`, or one that says why it is not."""

    type: str
    status: bool
    reason: str = ""
    message: str = ""
    since: datetime | None = None


@dataclass(frozen=True)
class Waiting:
    """Why a container has not started."""

    reason: str
    message: str = ""


@dataclass(frozen=True)
class Terminated:
    """How a container ended."""

    exit_code: int
    reason: str = ""
    message: str = ""
    finished_at: datetime | None = None

    def words(self) -> tuple[str, str] | None:
        """The last words `{code, message}` from the termination message, when they are there."""
        try:
            found = json.loads(self.message)
        except ValueError:
            return None
        match found:
            case {"code": str(code), "message": str(message)} if code:
                return code, message
        return None


@dataclass(frozen=True)
class Container:
    """A container's status; `terminated` is its last end, also when it has been started again."""

    name: str
    waiting: Waiting | None = None
    running: bool = False
    terminated: Terminated | None = None

    @classmethod
    def parse(cls, raw: Raw) -> Self:
        state, last = raw.get("state") or {}, raw.get("lastState") or {}
        waiting, ended = state.get("waiting"), state.get("terminated") or last.get("terminated")
        return cls(
            name=raw["name"],
            waiting=None if waiting is None else Waiting(waiting.get("reason") or "", waiting.get("message") or ""),
            running="running" in state,
            terminated=None if ended is None else _terminated(ended),
        )


@dataclass(frozen=True)
class Pod:
    """A pod of the Job. `containers`: init containers first, in the order in which they run."""

    name: str
    phase: str
    created_at: datetime
    uid: str = ""
    reason: str = ""
    message: str = ""
    conditions: tuple[Condition, ...] = ()
    containers: tuple[Container, ...] = ()
    deleted_at: datetime | None = None
    """When the cluster meant it to be gone, once its deletion was asked for."""

    @classmethod
    def parse(cls, raw: Raw) -> Self:
        status, metadata = raw.get("status") or {}, raw["metadata"]
        statuses = [*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())]
        return cls(
            name=metadata["name"],
            phase=status.get("phase") or "Pending",
            created_at=_required(metadata.get("creationTimestamp")),
            uid=metadata.get("uid") or "",
            reason=status.get("reason") or "",
            message=status.get("message") or "",
            conditions=_conditions(status),
            containers=tuple(Container.parse(one) for one in statuses),
            deleted_at=time(metadata.get("deletionTimestamp")),
        )

    @property
    def ended(self) -> bool:
        return self.phase in ("Succeeded", "Failed")

    def condition(self, type_: str) -> Condition | None:
        return next((one for one in self.conditions if one.type == type_), None)


@dataclass(frozen=True)
class Job:
    """A Job of ours."""

    name: str
    uid: str
    created_at: datetime
    attempt_id: str = ""
    conditions: tuple[Condition, ...] = ()
    suspended: bool = False
    deleted_at: datetime | None = None
    """When its deletion was asked for; one in the foreground waits for its pods."""
    trouble: str | None = None
    """Why it has no pod, in the cluster's own words."""

    @classmethod
    def parse(cls, raw: Raw) -> Self:
        metadata, status = raw["metadata"], raw.get("status") or {}
        return cls(
            name=metadata["name"],
            uid=metadata["uid"],
            created_at=_required(metadata.get("creationTimestamp")),
            attempt_id=(metadata.get("annotations") or {}).get(ATTEMPT_ID, ""),
            conditions=_conditions(status),
            suspended=bool((raw.get("spec") or {}).get("suspend")),
            deleted_at=time(metadata.get("deletionTimestamp")),
        )

    @property
    def deleting(self) -> bool:
        return self.deleted_at is not None

    @property
    def failed(self) -> Condition | None:
        return next((one for one in self.conditions if one.type == "Failed" and one.status), None)

    @property
    def completed(self) -> Condition | None:
        return next((one for one in self.conditions if one.type == "Complete" and one.status), None)

    @property
    def finished(self) -> bool:
        return self.failed is not None or self.completed is not None


def request_of(raw: Raw) -> UUID | None:
    """The request that a Job or pod is for, by its label."""
    try:
        return UUID((raw["metadata"].get("labels") or {}).get(REQUEST_LABEL, ""))
    except ValueError:
        return None


def job_of(raw_pod: Raw) -> str:
    """The name of the Job that a pod belongs to."""
    labels = raw_pod["metadata"].get("labels") or {}
    return str(next((labels[name] for name in JOB_LABELS if labels.get(name)), ""))


def time(value: str | None) -> datetime | None:
    """A Kubernetes time stamp (RFC 3339, UTC)."""
    return None if not value else datetime.fromisoformat(value).astimezone(UTC)


def _required(value: str | None) -> datetime:
    return time(value) or datetime.now(UTC)


def _conditions(status: Raw) -> tuple[Condition, ...]:
    raws: Iterable[Raw] = status.get("conditions") or ()
    return tuple(
        Condition(
            raw["type"], raw.get("status") == "True", raw.get("reason") or "", raw.get("message") or "",
            time(raw.get("lastTransitionTime")),
        )
        for raw in raws
    )  # fmt: skip


def _terminated(raw: Raw) -> Terminated:
    return Terminated(raw.get("exitCode") or 0, raw.get("reason") or "", raw.get("message") or "", time(raw.get("finishedAt")))
