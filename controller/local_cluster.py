"""LocalCluster: Jobs as processes of this machine, for the platform in one program."""

import copy
import fcntl
import logging
import os
import re
import shutil
import tempfile
import threading
import uuid
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import IO
from uuid import UUID

from controller import local_pod, processes
from controller.cluster import REPLY_KEY, TAIL_LINES, Raw
from controller.errors import ClusterError, FolderError, JobExistsError
from controller.local_job import LocalJob
from controller.local_pod import Place
from controller.observed import request_of
from controller.processes import Records

log = logging.getLogger(__name__)

CLOSE_SECONDS = 10.0
_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_PASSED_ON = re.compile(
    r"PATH|HOME|USER|LANG|LC_\w+|TZ|TMPDIR|VIRTUAL_ENV|PYTHONPATH|LD_LIBRARY_PATH|DYLD_\w+|SSL_CERT_\w+|XDG_\w+"
    r"|CUDA_\w+|NVIDIA_\w+|OMP_\w+|MKL_\w+|OPENBLAS_\w+|TORCH\w*|HF_\w+"
    r"|GENEFACE_(WEIGHTS_DIR|FFMPEG|VISIBLE_LABEL|DEVICE)|EVAL_(WEIGHTS_DIR|LSE_CROP)|ZHIPU_(?!API_KEY)\w+"
)
"""Variables of the platform's own environment that a step may see: no address, no key of the platform is among them."""


class LocalCluster:
    """Runs a Job's containers as processes, one after the other, init containers first.

    It honours: command and args (`python` is the running interpreter), literal variables, variables from the Job's Secret, from
    other Secrets the language model's key (our own variable ZHIPU_API_KEY), the pod's uid, labels and annotations; order;
    activeDeadlineSeconds of the pod; terminationGracePeriodSeconds; the termination message path; emptyDir volumes (folders; a
    variable whose value is a mount path leads there) and the claims it was given; `slots`: how many Jobs run at once, first come,
    first served. A waiting Job's pod is gated and says its place.

    It ignores: images, pull policies and secrets; resources, sizes of volumes, memory volumes such as /dev/shm; node labels,
    tolerations, runtime classes, priorities, queues; security contexts, service accounts and read-only mounts (a process has the
    rights of whoever started the platform); probes, ports, lifecycle hooks and sidecars; workingDir (it is the platform's);
    TTL, backoffLimit, podFailurePolicy, parallelism and completions (one pod, one try); what else is in other Secrets, and
    ConfigMaps; the rotation of logs. Containers after the first main one run after it, not beside it.

    Nothing outlives the platform: each container stands behind a guard (guard.py) that ends it when the platform is gone, however
    it went; and each guard is recorded in `folder` before it does anything, so that the next LocalCluster on that folder first
    ends what is left, within 10 s. Jobs are not kept: after a restart they are gone from the cluster.
    """

    def __init__(
        self,
        folder: Path,
        slots: int = 1,
        *,
        claims: Mapping[str, Path] | None = None,
        environment: Mapping[str, str] | None = None,
        cwd: Path | None = None,
    ) -> None:
        """Ends what an earlier one left behind. Raises FolderError, ClusterError.

        claims: folders for persistent volume claims; environment: what containers inherit, else what is harmless of our own;
        cwd: their working folder, else ours.
        """
        self._folder = folder.resolve()
        self._slots = slots
        self._claims = dict(claims or {})
        self._environment = {key: value for key, value in os.environ.items() if _PASSED_ON.fullmatch(key)}
        if environment is not None:
            self._environment = dict(environment)
        self._keys = {key: os.environ[key] for key in (REPLY_KEY,) if os.environ.get(key)}
        self._cwd = (cwd or Path.cwd()).resolve()
        self._lock = threading.RLock()
        self._jobs: dict[str, LocalJob] = {}
        self._waiting: list[LocalJob] = []
        self._running: set[str] = set()
        self._watchers: list[Callable[[UUID], None]] = []
        self._closed = False
        self._lock_file = _locked(self._folder)
        self._records = Records(self._folder / "processes")
        self._end_leftovers()

    @property
    def slots(self) -> int | None:
        return self._slots

    @property
    def at_once(self) -> int:
        return 1

    def create(self, manifest: Raw, secret: Mapping[str, str]) -> str:
        name = manifest["metadata"]["name"]
        if not _NAME.fullmatch(name):
            raise ClusterError(f"{name!r} is no name for a Job")
        with self._lock:
            if self._closed:
                raise ClusterError("the cluster is closed")
            if name in self._jobs:
                raise JobExistsError(f"there is a Job {name} already")
            place = Place(
                self._folder / "jobs" / name, copy.deepcopy(manifest), str(uuid.uuid4()), dict(secret), self._keys,
                self._claims, self._environment,
            )  # fmt: skip
            job = LocalJob(str(uuid.uuid4()), place, self._records, self._cwd, self._changed, self._over)
            self._jobs[name] = job
            self._waiting.append(job)
            self._admit()
        self._changed(job)
        return job.uid

    def entrust(self, job: str, uid: str, secret: Mapping[str, str]) -> None:
        """A Job is created with its Secret or not at all."""

    def troubles(self, jobs: Collection[str]) -> dict[str, str]:
        """Every Job has its pod."""
        return {}

    def held(self, job: str) -> str | None:
        """No Job is suspended."""
        return None

    def get(self, name: str) -> Raw | None:
        with self._lock:
            job = self._jobs.get(name)
            return None if job is None else job.raw_job()

    def jobs(self, request: UUID | None = None) -> list[Raw]:
        return [job.raw_job() for job in self._of(request)]

    def pods(self, request: UUID) -> list[Raw]:
        return [job.raw_pod() for job in self._of(request)]

    def delete(self, name: str) -> None:
        with self._lock:
            job = self._jobs.get(name)
            if job in self._waiting:
                self._waiting.remove(job)
                self._number()
        if job is not None:
            job.delete()
            self._changed(job)

    def tail(self, pod: str, container: str) -> list[str]:
        with self._lock:
            job = self._jobs.get(pod.removesuffix(local_pod.SUFFIX))
        return [] if job is None else job.place.tail(container, TAIL_LINES)

    def watch(self, changed: Callable[[UUID], None]) -> None:
        with self._lock:
            self._watchers.append(changed)

    def age(self) -> float:
        """It is always heard."""
        return 0.0

    def close(self, grace: float = CLOSE_SECONDS) -> None:
        """Stops every Job: SIGTERM, and SIGKILL after `grace` seconds. Returns when nothing runs."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            self._waiting.clear()
            running = [self._jobs[name] for name in self._running]
        for job in running:
            job.stop(grace)
        stuck = [job.name for job in running if not job.join(grace + 2 * processes.KILL_SECONDS)]
        self._lock_file.close()
        if stuck:
            raise ClusterError(f"these Jobs do not end: {', '.join(stuck)}")

    def _of(self, request: UUID | None) -> Iterator[LocalJob]:
        with self._lock:
            jobs = list(self._jobs.values())
        return (job for job in jobs if request is None or request_of(job.manifest) == request)

    def _admit(self) -> None:
        """Starts what has a slot; under the lock."""
        while self._waiting and len(self._running) < self._slots and not self._closed:
            job = self._waiting.pop(0)
            self._running.add(job.name)
            job.start()
        self._number()

    def _number(self) -> None:
        for place, job in enumerate(self._waiting, start=1):
            job.status.place = place

    def _over(self, job: LocalJob) -> None:
        """Nothing of the Job runs any more: its slot is free; if it was deleted, its files go, then itself."""
        deleted = job.status.deleted_at is not None
        if deleted and job.place.folder.exists():
            shutil.rmtree(job.place.folder, onerror=_not_removed)
        with self._lock:
            self._running.discard(job.name)
            if deleted:
                self._jobs.pop(job.name, None)
            self._admit()
            moved = list(self._waiting)
        for one in (job, *moved):
            self._changed(one)

    def _changed(self, job: LocalJob) -> None:
        request = request_of(job.manifest)
        if request is not None:
            for watcher in list(self._watchers):
                watcher(request)

    def _end_leftovers(self) -> None:
        left = self._records.all()
        try:
            ended = processes.end(left)
        except TimeoutError as error:
            raise ClusterError(f"processes of an earlier run do not end: {error}") from error
        if ended:
            log.warning("processes of an earlier run were ended", extra={"processes": ended})
        for record in left:
            self._records.remove(record.run)
        shutil.rmtree(self._folder / "jobs", ignore_errors=False, onerror=_not_removed)


def _locked(folder: Path) -> IO[bytes]:
    """Holds the folder for this process. Raises FolderError."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
        file = (folder / "lock").open("ab")
    except OSError as error:
        raise FolderError(f"the work folder {folder} cannot be written: {error.strerror or error}") from error
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        file.close()
        raise FolderError(f"the work folder {folder} is in use by another program") from error
    return file


def _not_removed(_function: object, path: str, error: tuple[type[BaseException], BaseException, object]) -> None:
    if not issubclass(error[0], FileNotFoundError):
        log.warning("a file of a deleted Job was not removed", extra={"path": path, "error": str(error[1])})
