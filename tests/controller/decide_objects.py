"""Jobs and pods as the API server gives them, a request and its attempt, and what is decided about them."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from controller.decide import Limits, decide
from controller.observed import Attempt, Job, Pod, Request
from store import ids
from store.models import State

NOW = datetime(2026, 9, 1, 12, tzinfo=UTC)
LIMITS = Limits()
NAME = "gf-training-abc-1"
ATTEMPT = Attempt(ids.new(), 1, NAME, "uid-1", "run-1")
UNCLAIMED = replace(ATTEMPT, run=None)
RUNNING = Request(ids.new(), State.RUNNING, attempt=1)
WORDS = '{"code": "no_face_detected", "message": "no face was found in the first 5 s"}'


def at(seconds: float) -> str:
    """A time stamp that many seconds from now."""
    return (NOW + timedelta(seconds=seconds)).isoformat().replace("+00:00", "Z")


def raw_job(*conditions: dict[str, Any], age: float = 60, **metadata: Any) -> dict[str, Any]:
    meta = {"name": NAME, "uid": "uid-1", "creationTimestamp": at(-age), **metadata}
    return {"metadata": meta, "spec": {}, "status": {"conditions": list(conditions)}}


def failed(reason: str = "BackoffLimitExceeded", message: str = "") -> dict[str, Any]:
    return {"type": "Failed", "status": "True", "reason": reason, "message": message, "lastTransitionTime": at(-1)}


def suspended(age: float = 60) -> dict[str, Any]:
    raw = raw_job({"type": "Suspended", "status": "True", "message": "Job suspended"}, age=age)
    return {**raw, "spec": {"suspend": True}}


def complete(ago: float) -> dict[str, Any]:
    return {"type": "Complete", "status": "True", "lastTransitionTime": at(-ago)}


def ended(name: str, code: int, reason: str = "Error", message: str = "") -> dict[str, Any]:
    end = {"exitCode": code, "reason": reason, "message": message, "finishedAt": at(-1)}
    return {"name": name, "state": {"terminated": end}}


def waits(name: str, reason: str, message: str = "") -> dict[str, Any]:
    return {"name": name, "state": {"waiting": {"reason": reason, "message": message}}}


def runs(name: str) -> dict[str, Any]:
    return {"name": name, "state": {"running": {"startedAt": at(-5)}}}


def raw_pod(*containers: dict[str, Any], init: int = 0, phase: str = "Failed", age: float = 60, **status: Any) -> dict[str, Any]:
    metadata = {"name": "pod-1", "uid": "run-1", "creationTimestamp": at(-age)}
    metadata |= status.pop("metadata", {})
    lists = {"initContainerStatuses": list(containers[:init]), "containerStatuses": list(containers[init:])}
    return {"metadata": metadata, "status": {"phase": phase, **lists, **status}}


def disrupted(reason: str) -> list[dict[str, str]]:
    return [{"type": "DisruptionTarget", "status": "True", "reason": reason}]


def unscheduled(reason: str, message: str) -> list[dict[str, str]]:
    return [{"type": "PodScheduled", "status": "False", "reason": reason, "message": message}]


def verdict(
    job: dict[str, Any] | None, *pods: dict[str, Any], request: Request = RUNNING, attempt: Attempt | None = ATTEMPT,
    admitted: bool = True,
) -> Any:  # fmt: skip
    return decide(
        request, attempt, None if job is None else Job.parse(job), [Pod.parse(pod) for pod in pods], NOW, LIMITS, admitted
    )
