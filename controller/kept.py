"""What is kept of the API server's objects: what is read of them. Ten thousand whole ones would fill the memory.

The shapes stay the API server's. Keys and words that all objects share are kept once.
"""

import sys
from collections.abc import Iterable
from typing import Any

from controller.cluster import Raw
from controller.observed import ATTEMPT_ID, JOB_LABELS, REQUEST_LABEL

JOB_UID_LABEL = "kueue.x-k8s.io/job-uid"
_LABELS = (REQUEST_LABEL, *JOB_LABELS, JOB_UID_LABEL)
_METADATA = ("name", "uid", "resourceVersion", "creationTimestamp", "deletionTimestamp")
_CONDITION = ("type", "status", "reason", "message", "lastTransitionTime")
_POD = ("phase", "reason", "message")
_CONTAINERS = ("initContainerStatuses", "containerStatuses")
_STATES = {"waiting": ("reason", "message"), "running": (), "terminated": ("exitCode", "reason", "message", "finishedAt")}


def job(raw: Raw) -> Raw:
    suspended = bool((raw.get("spec") or {}).get("suspend"))
    return {"metadata": _metadata(raw), "spec": {"suspend": suspended}, "status": _conditions(raw.get("status") or {})}


def pod(raw: Raw) -> Raw:
    status = raw.get("status") or {}
    containers = {
        name: [
            {"name": _shared(one["name"]), **{part: _state(one[part]) for part in ("state", "lastState") if one.get(part)}}
            for one in status[name]
        ]
        for name in _CONTAINERS
        if status.get(name)
    }
    return {"metadata": _metadata(raw), "status": {**_picked(status, _POD), **_conditions(status), **containers}}


def workload(raw: Raw) -> Raw:
    owners = [{"name": one["name"]} for one in raw["metadata"].get("ownerReferences") or ()]
    return {"metadata": {**_metadata(raw), "ownerReferences": owners}, "status": _conditions(raw.get("status") or {})}


def job_uid(workload: Raw) -> str | None:
    """The uid of the Job that it is for."""
    uid: str | None = workload["metadata"]["labels"].get(JOB_UID_LABEL)
    return uid


def held(workloads: Iterable[Raw]) -> str | None:
    """Why Kueue holds a Job back: the newest condition of its Workloads that says so."""
    holding = [
        one for raw in workloads for one in raw["status"].get("conditions") or ()
        if (one["type"] in ("Evicted", "Preempted", "Requeued") and one["status"] == "True")
        or (one["type"] in ("QuotaReserved", "Admitted") and one["status"] == "False")
    ]  # fmt: skip
    last = max(holding, key=lambda one: one.get("lastTransitionTime") or "", default=None)
    return None if last is None else f"{last.get('reason') or last['type']}: {last.get('message') or ''}".removesuffix(": ")


def _metadata(raw: Raw) -> Raw:
    metadata = raw["metadata"]
    kept = {**_picked(metadata, _METADATA), "labels": _picked(metadata.get("labels") or {}, _LABELS)}
    attempt = (metadata.get("annotations") or {}).get(ATTEMPT_ID)
    return kept if attempt is None else {**kept, "annotations": {ATTEMPT_ID: attempt}}


def _conditions(status: Raw) -> Raw:
    return {"conditions": [_picked(one, _CONDITION) for one in status["conditions"]]} if status.get("conditions") else {}


def _state(state: Raw) -> Raw:
    return {name: _picked(state[name], wanted) for name, wanted in _STATES.items() if name in state}


def _picked(raw: Raw, names: Iterable[str]) -> Raw:
    return {name: _shared(raw[name]) for name in names if name in raw}


def _shared(value: Any) -> Any:
    """Short words come again and again."""
    return sys.intern(value) if isinstance(value, str) and len(value) < 64 else value
