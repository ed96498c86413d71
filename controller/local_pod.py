"""A local Job's one pod: how it stands, in the shapes of the Kubernetes API, and where its containers find things."""

import os
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from controller.errors import ClusterError

Raw = dict[str, Any]
SUFFIX = "-local"
"""Of the pod, after the name of its Job."""
TERMINATION_BYTES = 4096
TAIL_BYTES = 1 << 17
TERMINATION_PATH = "/dev/termination-log"
_FIELD_LABEL = re.compile(r"metadata\.(labels|annotations)\['([^']+)'\]")


@dataclass
class Ended:
    """How a container ended."""

    exit_code: int
    reason: str
    message: str
    started_at: datetime
    finished_at: datetime


@dataclass
class Status:
    """What has become of the pod so far. `place` is kept by the cluster: which waiting Job this one is, 0 when it is none."""

    created_at: datetime
    place: int = 0
    started_at: datetime | None = None
    running: tuple[str, datetime] | None = None
    ended: dict[str, Ended] = field(default_factory=dict)
    reason: str = ""
    message: str = ""
    finished_at: datetime | None = None
    deleted_at: datetime | None = None
    """When its grace ends."""

    @property
    def succeeded(self) -> bool:
        return not self.reason and all(end.exit_code == 0 for end in self.ended.values())


def containers(manifest: Raw) -> list[Raw]:
    """Init containers, then the main ones, in the order in which they run."""
    spec = manifest["spec"]["template"]["spec"]
    return [*spec.get("initContainers", ()), *spec["containers"]]


def job(manifest: Raw, uid: str, status: Status) -> Raw:
    """The Job as the API server would give it."""
    result: Raw = {"active": 0 if status.finished_at else 1, "startTime": stamp(status.created_at), "conditions": []}
    if status.finished_at:
        at = stamp(status.finished_at)
        if status.succeeded:
            result |= {"completionTime": at, "succeeded": 1}
            result["conditions"] = [{"type": "Complete", "status": "True", "lastTransitionTime": at}]
        else:
            result["failed"] = 1
            result["conditions"] = [
                {"type": "Failed", "status": "True", "reason": "BackoffLimitExceeded", "lastTransitionTime": at,
                 "message": "Job has reached the specified backoff limit"}
            ]  # fmt: skip
    metadata = {**manifest["metadata"], "uid": uid, "creationTimestamp": stamp(status.created_at), **_deleting(status)}
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": manifest["spec"], "status": result}


def pod(manifest: Raw, uid: str, status: Status) -> Raw:
    """The pod as the API server would give it. While it waits for a slot it is gated, as a pod that Kueue holds."""
    name, template = manifest["metadata"]["name"], manifest["spec"]["template"]
    labels = {**template["metadata"].get("labels", {}), "batch.kubernetes.io/job-name": name}
    scheduled: Raw = {"type": "PodScheduled", "status": "True", "lastTransitionTime": stamp(status.started_at)}
    if status.started_at is None:
        scheduled = {
            "type": "PodScheduled", "status": "False", "reason": "SchedulingGated",
            "message": f"waiting for a slot (place {status.place})",
        }  # fmt: skip
    spec = template["spec"]
    body: Raw = {"phase": _phase(status), "conditions": [scheduled]}
    if status.started_at is not None:
        body["initContainerStatuses"] = [_container(one["name"], status) for one in spec.get("initContainers", ())]
        body["containerStatuses"] = [_container(one["name"], status) for one in spec["containers"]]
    if status.reason:
        body |= {"reason": status.reason, "message": status.message}
    metadata = {
        "name": name + SUFFIX, "uid": uid, "labels": labels, "creationTimestamp": stamp(status.created_at), **_deleting(status)
    }  # fmt: skip
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec, "status": body}


@dataclass(frozen=True)
class Place:
    """Where a Job's files lie, and what its containers' environment is made of."""

    folder: Path
    manifest: Raw
    run: str
    secret: Mapping[str, str]
    """The Job's own."""
    keys: Mapping[str, str]
    """Of other Secrets, by key."""
    claims: Mapping[str, Path]
    base: Mapping[str, str]

    def log(self, container: str) -> Path:
        return self.folder / f"{container}.log"

    def last_words(self, container: str) -> Path:
        return self.folder / f"{container}.end"

    def prepare(self) -> None:
        """The pod's folder, with one for each of its volumes. Raises OSError."""
        self.folder.mkdir(parents=True, exist_ok=True)
        for volume in self.manifest["spec"]["template"]["spec"].get("volumes", ()):
            if "emptyDir" in volume:
                (self.folder / "volumes" / volume["name"]).mkdir(parents=True, exist_ok=True)

    def environment(self, container: Raw) -> dict[str, str]:
        """The container's variables over the base; a value that names a mount leads to its folder. Raises ClusterError."""
        paths = {mount: str(folder) for mount, folder in self._mounts(container)}
        paths[container.get("terminationMessagePath", TERMINATION_PATH)] = str(self.last_words(container["name"]))
        given = {one["name"]: self._value(one) for one in container.get("env", ())}
        return {**self.base, **{name: _moved(value, paths) for name, value in given.items() if value is not None}}

    def command(self, container: Raw) -> list[str]:
        """`python` is the interpreter that runs the platform."""
        argv: list[str] = [*container.get("command", ()), *container.get("args", ())]
        return [sys.executable, *argv[1:]] if argv[0] in ("python", "python3") else argv

    def message(self, container: str) -> str:
        """The termination message; empty when the container left none."""
        path = self.last_words(container)
        return path.read_bytes()[:TERMINATION_BYTES].decode("utf-8", errors="replace") if path.exists() else ""

    def tail(self, container: str, lines: int) -> list[str]:
        """The last lines of what it wrote; none when it wrote nothing."""
        path = self.log(container)
        if not path.exists():
            return []
        with path.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - TAIL_BYTES))
            return file.read().decode("utf-8", errors="replace").splitlines()[-lines:]

    def _mounts(self, container: Raw) -> Iterator[tuple[str, Path]]:
        volumes = {one["name"]: one for one in self.manifest["spec"]["template"]["spec"].get("volumes", ())}
        for mount in container.get("volumeMounts", ()):
            volume = volumes[mount["name"]]
            claim = volume.get("persistentVolumeClaim", {}).get("claimName")
            if "emptyDir" in volume:
                yield mount["mountPath"], self.folder / "volumes" / mount["name"]
            elif claim in self.claims:
                yield mount["mountPath"], self.claims[claim]

    def _value(self, variable: Raw) -> str | None:
        """None: a key that may be missing, and is."""
        match variable:
            case {"value": value}:
                return str(value)
            case {"valueFrom": {"secretKeyRef": {"key": key}}} if key in self.secret:
                return self.secret[key]
            case {"valueFrom": {"secretKeyRef": {"key": key}}} if key in self.keys:
                return self.keys[key]
            case {"valueFrom": {"secretKeyRef": {"optional": True}}}:
                return None
            case {"valueFrom": {"fieldRef": {"fieldPath": "metadata.uid"}}}:
                return self.run
            case {"valueFrom": {"fieldRef": {"fieldPath": path}}} if found := _FIELD_LABEL.fullmatch(path):
                kind, key = found.groups()
                return str(self.manifest["spec"]["template"]["metadata"].get(kind, {}).get(key, ""))
        raise ClusterError(f"the variable {variable.get('name')} has no value that LocalCluster can give")


def stamp(at: datetime | None) -> str:
    """RFC 3339, UTC."""
    return (at or datetime.now(UTC)).isoformat(timespec="microseconds").replace("+00:00", "Z")


def _moved(value: str, paths: Mapping[str, str]) -> str:
    for mount, folder in paths.items():
        if value == mount or value.startswith(mount.rstrip("/") + "/"):
            return folder + value[len(mount) :]
    return value


def _phase(status: Status) -> str:
    if status.finished_at is None:
        return "Pending" if status.started_at is None else "Running"
    return "Succeeded" if status.succeeded else "Failed"


def _container(name: str, status: Status) -> Raw:
    state: Raw = {"waiting": {"reason": "PodInitializing"}}
    if end := status.ended.get(name):
        state = {
            "terminated": {
                "exitCode": end.exit_code, "reason": end.reason, "message": end.message,
                "startedAt": stamp(end.started_at), "finishedAt": stamp(end.finished_at),
            }
        }  # fmt: skip
    elif status.running and status.running[0] == name:
        state = {"running": {"startedAt": stamp(status.running[1])}}
    return {"name": name, "state": state, "restartCount": 0}


def _deleting(status: Status) -> Raw:
    return {} if status.deleted_at is None else {"deletionTimestamp": stamp(status.deleted_at)}
