"""KubernetesCluster: Jobs on a Kubernetes cluster, seen through two reflectors, written through one token bucket."""

import logging
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from uuid import UUID

from controller import kept
from controller.bucket import Bucket
from controller.cluster import TAIL_LINES, Raw
from controller.errors import ApiAwayError, ApiError, ClusterError, JobExistsError
from controller.kube_api import KubeApi, namespaced, selector
from controller.observed import INSTANCE_LABEL, MANAGED_BY, MANAGED_BY_LABEL, job_of, request_of
from controller.reflector import Pace, Reflector

log = logging.getLogger(__name__)

BATCH, CORE, KUEUE = "apis/batch/v1", "api/v1", "apis/kueue.x-k8s.io"
NOT_FOUND, CONFLICT = 404, 409
SYNC_SECONDS = 60.0
CALLS = 8
PAGE = 500


@dataclass(frozen=True)
class Place:
    """Where on the cluster: a namespace, and whose Jobs in it are ours (two installations may share one)."""

    namespace: str
    instance: str
    kueue: bool = False
    """Whether Jobs go through Kueue, whose Workloads then say why one waits."""


class KubernetesCluster:
    """The Jobs and pods of one installation. What it writes it sees at once: answers go into the same copy that watches feed."""

    def __init__(self, api: KubeApi, place: Place, bucket: Bucket, pace: Pace | None = None) -> None:
        """Begins to look; `wait` says when everything was seen. Raises ClusterError."""
        self._api, self._place, self._bucket = api, place, bucket
        self._watchers: list[Callable[[UUID], None]] = []
        labels = selector({MANAGED_BY_LABEL: MANAGED_BY, INSTANCE_LABEL: place.instance})
        self._jobs = Reflector(api, self._path(BATCH, "jobs"), labels, kept.job, self._changed, pace)
        self._pods = Reflector(api, self._path(CORE, "pods"), labels, kept.pod, self._changed, pace)
        self._workloads = self._kueue(pace) if place.kueue else None
        self._reflectors = [one for one in (self._jobs, self._pods, self._workloads) if one is not None]
        for reflector in self._reflectors:
            reflector.start()

    def wait(self, seconds: float = SYNC_SECONDS) -> None:
        """Until all has been listed once. Raises ClusterError."""
        for reflector in self._reflectors:
            if not reflector.wait(seconds):
                raise ClusterError(f"the cluster's Jobs and pods could not be listed within {seconds:.0f} s")

    @property
    def slots(self) -> int | None:
        return None

    @property
    def at_once(self) -> int:
        return CALLS

    def create(self, manifest: Raw, secret: Mapping[str, str]) -> str:
        name = manifest["metadata"]["name"]
        try:
            raw = self._write("POST", self._path(BATCH, "jobs"), manifest)
        except ApiError as error:
            if error.status == CONFLICT:
                raise JobExistsError(f"there is a Job {name} already") from error
            raise
        self._jobs.saw(raw)
        uid = str(raw["metadata"]["uid"])
        if not self._add_secret(name, uid, secret):
            # It goes with its own Job, and this one's pod would wait for it in vain; none can be read, so nobody can compare.
            self.delete(name)
            raise ClusterError(f"the Secret of an earlier Job {name} is still there")
        return uid

    def entrust(self, job: str, uid: str, secret: Mapping[str, str]) -> None:
        self._add_secret(job, uid, secret)

    def get(self, name: str) -> Raw | None:
        """Asks the server: a Job that is not ours stands in no copy."""
        try:
            return self._api.call("GET", self._path(BATCH, "jobs", name))
        except ApiError as error:
            if error.status == NOT_FOUND:
                return None
            raise

    def jobs(self, request: UUID | None = None) -> list[Raw]:
        return self._jobs.all() if request is None else self._jobs.of(request)

    def pods(self, request: UUID) -> list[Raw]:
        return self._pods.of(request)

    def delete(self, name: str) -> None:
        """Background: the Job goes at once, its pods and its Secret follow. By default a Job's deletion would leave its pods."""
        known = self._jobs.get(name)
        options: Raw = {"propagationPolicy": "Background"}
        if known is not None:
            options["preconditions"] = {"uid": known["metadata"]["uid"]}
        answer = self._delete(self._path(BATCH, "jobs", name), options)
        if answer is not None and answer.get("kind") == "Job":
            self._jobs.saw(answer)
        else:
            self._jobs.forget(name)
        for pod in [raw for raw in self._pods.all() if job_of(raw) == name] if known is None else []:
            answer = self._delete(self._path(CORE, "pods", pod["metadata"]["name"]), {})
            if answer is not None and answer.get("kind") == "Pod":
                self._pods.saw(answer)

    def tail(self, pod: str, container: str) -> list[str]:
        try:
            text = self._api.text(self._path(CORE, "pods", pod, "log"), {"container": container, "tailLines": TAIL_LINES})
        except ApiError as error:
            log.info("the last lines of a container cannot be had: %s", error, extra={"pod": pod})
            return []
        return text.splitlines()

    def troubles(self, jobs: Collection[str]) -> dict[str, str]:
        """The Job controller's last words about pods that it could not create."""
        known = {raw["metadata"]["uid"]: name for name in jobs if (raw := self._jobs.get(name))}
        wanted = {"involvedObject.kind": "Job", "reason": "FailedCreate"}
        if len(known) == 1:
            wanted["involvedObject.uid"] = next(iter(known))
        query: dict[str, str | int] = {"fieldSelector": selector(wanted), "limit": PAGE}
        last: dict[str, Raw] = {}
        while known:
            page = self._api.call("GET", self._path(CORE, "events"), query=query)
            for event in page.get("items") or ():
                name = known.get(event["involvedObject"].get("uid"))
                if name is not None and (name not in last or _event_time(last[name]) <= _event_time(event)):
                    last[name] = event
            if not (following := page["metadata"].get("continue")):
                break
            query["continue"] = following
        return {name: f"{event.get('reason')}: {event.get('message')}" for name, event in last.items()}

    def held(self, job: str) -> str | None:
        known = self._jobs.get(job)
        if known is None or self._workloads is None:
            return None
        return kept.held(self._workloads.of(known["metadata"]["uid"]))

    def watch(self, changed: Callable[[UUID], None]) -> None:
        self._watchers.append(changed)

    def age(self) -> float:
        return max(reflector.age() for reflector in self._reflectors)

    def close(self) -> None:
        """What runs on the cluster goes on."""
        for reflector in self._reflectors:
            reflector.stop()

    def _path(self, group: str, resource: str, name: str = "", part: str = "") -> str:
        return namespaced(group, self._place.namespace, resource, name, part)

    def _add_secret(self, job: str, uid: str, secret: Mapping[str, str]) -> bool:
        """False: there is one of that name."""
        owner = {
            "apiVersion": "batch/v1",
            "kind": "Job",
            "name": job,
            "uid": uid,
            "controller": True,
            "blockOwnerDeletion": False,
        }
        labels = {MANAGED_BY_LABEL: MANAGED_BY, INSTANCE_LABEL: self._place.instance}
        body: Raw = {
            "apiVersion": "v1", "kind": "Secret", "type": "Opaque", "immutable": True, "stringData": dict(secret),
            "metadata": {"name": job, "namespace": self._place.namespace, "labels": labels, "ownerReferences": [owner]},
        }  # fmt: skip
        try:
            self._write("POST", self._path(CORE, "secrets"), body)
        except ApiError as error:
            if error.status != CONFLICT:
                raise
            return False
        return True

    def _write(self, method: str, path: str, body: Raw) -> Raw:
        self._bucket.take()
        try:
            answer = self._api.call(method, path, body)
        except ApiAwayError:
            self._bucket.was_refused()
            raise
        except ApiError as error:
            if error.overloaded:
                self._bucket.was_refused()
            raise
        self._bucket.went_well()
        return answer

    def _delete(self, path: str, options: Raw) -> Raw | None:
        """None: there was no such thing, or another one of that name."""
        try:
            return self._write("DELETE", path, {"apiVersion": "v1", "kind": "DeleteOptions", **options})
        except ApiError as error:
            if error.status in (NOT_FOUND, CONFLICT):
                return None
            raise

    def _kueue(self, pace: Pace | None) -> Reflector | None:
        """Kueue's Workloads, where it is installed, whatever version of its API that offers."""
        try:
            version = self._api.call("GET", f"/{KUEUE}")["preferredVersion"]["version"]
        except ApiError as error:
            if error.status != NOT_FOUND:
                raise
            log.warning("Jobs are given to Kueue, which is not installed: they wait until somebody resumes them")
            return None
        path = self._path(f"{KUEUE}/{version}", "workloads")
        return Reflector(self._api, path, kept.JOB_UID_LABEL, kept.workload, self._workload_changed, pace, kept.job_uid)

    def _workload_changed(self, raw: Raw) -> None:
        for owner in raw["metadata"].get("ownerReferences") or ():
            job = self._jobs.get(owner["name"])
            if job is not None:
                self._changed(job)

    def _changed(self, raw: Raw) -> None:
        request = request_of(raw)
        if request is not None:
            for watcher in list(self._watchers):
                watcher(request)


def _event_time(raw: Raw) -> str:
    return str(raw.get("lastTimestamp") or raw.get("eventTime") or raw["metadata"].get("creationTimestamp") or "")
