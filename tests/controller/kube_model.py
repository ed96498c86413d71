"""A cluster in memory that acts as Kubernetes does, as far as the controller can tell: one truth, and views that may be old."""

from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy.orm import Session

from controller.cluster import Raw
from controller.errors import ClusterError, JobExistsError
from controller.observed import ATTEMPT_ID, job_of, request_of
from store.database import Database


@dataclass(frozen=True)
class Worker:
    """A process in a pod. It may go on when its pod, its Job, even its node are gone for the cluster."""

    run: str
    pod: str
    attempt: UUID


@dataclass
class Kube:
    """What the API server holds. Objects are never changed, only exchanged, so that views may keep old ones."""

    now: Callable[[], datetime]
    jobs: dict[str, Raw] = field(default_factory=dict)
    pods: dict[str, Raw] = field(default_factory=dict)
    secrets: dict[str, str] = field(default_factory=dict)
    """The uid of the Job that each belongs to, by name."""
    dead: set[str] = field(default_factory=set)
    """Pods on a node that is gone: they neither end nor go."""
    workers: list[Worker] = field(default_factory=list)
    made: int = 0

    def create_job(self, manifest: Raw) -> Raw:
        name = manifest["metadata"]["name"]
        if name in self.jobs:
            raise JobExistsError
        self.jobs[name] = {**manifest, "metadata": self._metadata(manifest["metadata"], "job"), "status": {}}
        return self.jobs[name]

    def delete_job(self, name: str, uid: str | None = None, foreground: bool = False) -> None:
        job = self.jobs.get(name)
        if job is None or uid not in (None, job["metadata"]["uid"]):
            return
        if foreground:
            self.jobs[name] = self._told_to_go(job)
        else:
            del self.jobs[name]

    def delete_pod(self, name: str) -> None:
        if name in self.pods:
            self.pods[name] = self._told_to_go(self.pods[name])

    def suspend(self, name: str, suspended: bool) -> None:
        job = self.jobs[name]
        if not ended(job):
            self.jobs[name] = {**job, "spec": {**job["spec"], "suspend": suspended}}
            for pod in self.pods_of(name) if suspended else ():
                self.delete_pod(pod)

    def pods_of(self, job: str) -> list[str]:
        return [name for name, raw in self.pods.items() if job_of(raw) == job]

    def start_pod(self, name: str) -> None:
        """A Job's next pod. A second one beside a living one is a twin, as after a node that only seemed dead."""
        job = self.jobs[name]
        pod = {"name": f"{name}-{self.made}", "labels": {**job["metadata"]["labels"], "job-name": name}}
        metadata = self._metadata({**pod, "annotations": job["metadata"]["annotations"]}, "pod")
        owner = {"uid": job["metadata"]["uid"]}
        self.pods[metadata["name"]] = {"metadata": {**metadata, "ownerReferences": [owner]}, "status": {"phase": "Pending"}}

    def end_pod(self, name: str, code: int, reason: str = "") -> None:
        """`reason`: the container's for a code, as OOMKilled; the pod's, as Evicted, for one without."""
        pod = self.pods[name]
        if not ended(pod) and name not in self.dead:
            end = {"exitCode": code, "reason": reason, "finishedAt": self.now().isoformat()}
            status = {
                "phase": "Failed" if code else "Succeeded",
                "containerStatuses": [{"name": "train", "state": {"terminated": end}}],
            }
            if reason in ("Evicted", "DeadlineExceeded"):
                status |= {"reason": reason}
            self.pods[name] = {**pod, "status": status}

    def lose_node(self, name: str) -> None:
        """The pod is told to go, but its node no longer listens."""
        self.dead.add(name)
        self.delete_pod(name)

    def bury(self) -> None:
        """Pods of nodes that are gone for good are failed and removed."""
        for name in sorted(self.dead & self.pods.keys()):
            self.dead.remove(name)
            disrupted = {"type": "DisruptionTarget", "status": "True", "reason": "DeletionByPodGC"}
            self.pods[name] = {**self.pods[name], "status": {"phase": "Failed", "conditions": [disrupted]}}

    def collect_secrets(self) -> None:
        owners = {job["metadata"]["uid"] for job in self.jobs.values()}
        self.secrets = {name: uid for name, uid in self.secrets.items() if uid in owners}

    def go_on(self) -> None:
        """One round of garbage collector, kubelets and Job controller."""
        self.collect_secrets()
        owners = {job["metadata"]["uid"]: job for job in self.jobs.values()}
        for name, pod in list(self.pods.items()):
            owner = owners.get(pod["metadata"]["ownerReferences"][0]["uid"])
            if owner is None or going(owner) or (ended(owner) and not ended(pod)):
                self.delete_pod(name)
            self._kubelet(name)
        for name, job in list(self.jobs.items()):
            self._job_controller(name, job)

    def _kubelet(self, name: str) -> None:
        pod = self.pods[name]
        if name in self.dead:
            return
        if going(pod) and ended(pod):
            owner = self.jobs.get(job_of(pod))
            if owner is None or ended(owner) or going(owner) or owner["spec"]["suspend"]:
                del self.pods[name]
        elif going(pod):
            self.end_pod(name, 143)
        elif pod["status"]["phase"] == "Pending" and job_of(pod) in self.secrets:
            self.pods[name] = {
                **pod,
                "status": {"phase": "Running", "containerStatuses": [{"name": "train", "state": {"running": {}}}]},
            }
            attempt = UUID(pod["metadata"]["annotations"][ATTEMPT_ID])
            self.workers.append(Worker(pod["metadata"]["uid"], name, attempt))

    def _job_controller(self, name: str, job: Raw) -> None:
        pods = [self.pods[one] for one in self.pods_of(name)]
        ends = [pod for pod in pods if ended(pod)]
        if going(job) and not pods:
            del self.jobs[name]
        elif ended(job) or going(job) or job["spec"]["suspend"]:
            return
        elif ends:
            good = any(pod["status"]["phase"] == "Succeeded" for pod in ends)
            condition = {"type": "Complete" if good else "Failed", "status": "True", "lastTransitionTime": self.now().isoformat()}
            self.jobs[name] = {
                **job,
                "status": {"conditions": [condition | ({} if good else {"reason": "BackoffLimitExceeded"})]},
            }
        elif not pods:
            self.start_pod(name)

    def _metadata(self, metadata: Raw, kind: str) -> Raw:
        self.made += 1
        return {**metadata, "uid": f"{kind}-{self.made}", "creationTimestamp": self.now().isoformat()}

    def _told_to_go(self, raw: Raw) -> Raw:
        at = raw["metadata"].get("deletionTimestamp") or (self.now() + timedelta(seconds=120)).isoformat()
        return {**raw, "metadata": {**raw["metadata"], "deletionTimestamp": at}}


class Crash(BaseException):
    """The controller ended here."""


class Gate:
    """Lets side effects through, until something comes between, at a point and the so-manieth time that it is passed."""

    def __init__(self) -> None:
        self.point, self.left = "", 0
        self.event: Callable[[], None] | None = None

    def __call__(self, point: str) -> None:
        if self.event is not None and point == self.point:
            self.left -= 1
            if self.left < 0:
                event, self.event = self.event, None
                event()


class GatedDatabase(Database):
    """As the controller has it: something may come between before each transaction and after it."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.gate = Gate()

    @contextmanager
    def begin(self) -> Iterator[Session]:
        self.gate("begin")
        with super().begin() as session:
            yield session
        self.gate("committed")


class View:
    """The port as one controller has it: a copy that may lag behind, but for what this controller itself has written.

    `gate` is called before and after each thing that is done: there something else may come between, or this controller end.
    """

    slots = None
    at_once = 1

    def __init__(self, kube: Kube, gate: Callable[[str], None]) -> None:
        self._kube, self._gate = kube, gate
        self.lags = False
        self._jobs, self._pods = dict(kube.jobs), dict(kube.pods)

    def create(self, manifest: Raw, secret: Mapping[str, str]) -> str:
        self._gate("create")
        raw = self._kube.create_job(manifest)
        name, uid = raw["metadata"]["name"], raw["metadata"]["uid"]
        self._jobs[name] = raw
        self._gate("created")
        if self._kube.secrets.setdefault(name, uid) != uid:
            self.delete(name)
            raise ClusterError
        self._gate("given")
        return str(uid)

    def entrust(self, job: str, uid: str, secret: Mapping[str, str]) -> None:
        """By then, an earlier Job's Secret is gone: collecting takes less than starting again."""
        self._gate("entrust")
        self._kube.collect_secrets()
        self._kube.secrets.setdefault(job, uid)
        self._gate("given")

    def get(self, name: str) -> Raw | None:
        return self._kube.jobs.get(name)

    def jobs(self, request: UUID | None = None) -> list[Raw]:
        if not self.lags:
            self._jobs, self._pods = dict(self._kube.jobs), dict(self._kube.pods)
        return [raw for raw in self._jobs.values() if request in (None, request_of(raw))]

    def pods(self, request: UUID) -> list[Raw]:
        return [raw for raw in self._pods.values() if request_of(raw) == request]

    def delete(self, name: str) -> None:
        self._gate("delete")
        known = self._jobs.pop(name, None)
        self._kube.delete_job(name, None if known is None else known["metadata"]["uid"])
        for pod in self._kube.pods_of(name) if known is None else ():
            if pod in self._pods:
                self._kube.delete_pod(pod)
                self._pods[pod] = self._kube.pods[pod]
        self._gate("deleted")

    def tail(self, pod: str, container: str) -> list[str]:
        return [f"the last line of {container} in {pod}"]

    def troubles(self, jobs: Collection[str]) -> dict[str, str]:
        return {job: f"FailedCreate: no quota for {job}" for job in jobs}

    def held(self, job: str) -> str | None:
        return f"Preempted: {job} has to wait"


def ended(raw: Raw) -> bool:
    """Whether the Job or the pod has ended."""
    return raw["status"].get("phase") in ("Succeeded", "Failed") or bool(raw["status"].get("conditions"))


def going(raw: Raw) -> bool:
    """Whether its deletion has begun."""
    return "deletionTimestamp" in raw["metadata"]
