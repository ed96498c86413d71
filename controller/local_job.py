"""One Job of LocalCluster under way: its containers, one after the other, in a thread of its own."""

import logging
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from controller import local_pod, processes
from controller.local_pod import Ended, Place, Raw, Status
from controller.processes import Record, Records

log = logging.getLogger(__name__)

CANNOT_START = 128
"""Exit code of a container that could not be started, as container runtimes give it."""
DEFAULT_GRACE = 30.0
"""terminationGracePeriodSeconds when the manifest has none, as in Kubernetes."""


class LocalJob:
    """`changed` is called after every change; `over` once, when nothing of the Job runs any more."""

    def __init__(
        self, uid: str, place: Place, records: Records, cwd: Path,
        changed: Callable[["LocalJob"], None], over: Callable[["LocalJob"], None],
    ) -> None:  # fmt: skip
        self.uid = uid
        self.place = place
        self.status = Status(datetime.now(UTC))
        self._records = records
        self._cwd = cwd
        self._changed = changed
        self._over = over
        self._lock = threading.Lock()
        self._guard: subprocess.Popen[bytes] | None = None
        self._record: Record | None = None
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name=self.name, daemon=True)
        self._timers: list[threading.Timer] = []

    @property
    def manifest(self) -> Raw:
        return self.place.manifest

    @property
    def name(self) -> str:
        return str(self.manifest["metadata"]["name"])

    @property
    def grace(self) -> float:
        return float(self._spec.get("terminationGracePeriodSeconds", DEFAULT_GRACE))

    def raw_job(self) -> Raw:
        with self._lock:
            return local_pod.job(self.manifest, self.uid, self.status)

    def raw_pod(self) -> Raw:
        with self._lock:
            return local_pod.pod(self.manifest, self.place.run, self.status)

    def start(self) -> None:
        """Takes its slot. Does not wait."""
        with self._lock:
            self.status.started_at = datetime.now(UTC)
        self._thread.start()

    def stop(self, grace: float) -> None:
        """SIGTERM to the running container, SIGKILL to all that is left after `grace` seconds. Does not wait."""
        with self._lock:
            self._stopping = True
            if self._guard is not None:
                self._guard.terminate()
        self._later(grace, self._kill)

    def delete(self) -> None:
        """Stops it for good. `over` is called when it has ended; at once when it does not run."""
        with self._lock:
            first = self.status.deleted_at is None
            runs = self.status.started_at is not None and self.status.finished_at is None
            self.status.deleted_at = self.status.deleted_at or datetime.now(UTC) + timedelta(seconds=self.grace)
        if first and runs:
            self.stop(self.grace)
        elif first:
            self._over(self)

    def join(self, timeout: float) -> bool:
        """Whether its thread has ended."""
        if self._thread.is_alive():
            self._thread.join(timeout)
        return not self._thread.is_alive()

    @property
    def _spec(self) -> Raw:
        spec: Raw = self.manifest["spec"]["template"]["spec"]
        return spec

    def _run(self) -> None:
        if deadline := self._spec.get("activeDeadlineSeconds"):
            self._later(float(deadline), self._out_of_time)
        for container in local_pod.containers(self.manifest):
            if self._stopping or not self._run_container(container):
                break
        for timer in self._timers:
            timer.cancel()
        with self._lock:
            if self._stopping and not self.status.reason and self._unfinished():
                self.status.reason, self.status.message = "Terminated", "the pod was stopped between two containers"
            self.status.running, self.status.finished_at = None, datetime.now(UTC)
        self._over(self)

    def _unfinished(self) -> bool:
        """Whether containers are left that never ran, though none failed."""
        names = {container["name"] for container in local_pod.containers(self.manifest)}
        return self.status.succeeded and names != set(self.status.ended)

    def _run_container(self, container: Raw) -> bool:
        """Runs it to its end; whether the next one may run."""
        name, began = container["name"], datetime.now(UTC)
        try:
            with self._started(container) as guard:
                with self._lock:
                    self.status.running = (name, began)
                self._changed(self)
                code = guard.wait()
                code = code if code >= 0 else 128 - code
            end = Ended(code, "Completed" if code == 0 else "Error", self.place.message(name), began, datetime.now(UTC))
        except Exception as error:  # whatever it was: the Job has to end, or its slot would be lost
            log.warning("a container could not be run", extra={"job": self.name, "container": name}, exc_info=True)
            end = Ended(CANNOT_START, "StartError", f"the container could not be started: {error}", began, datetime.now(UTC))
        with self._lock:
            self.status.running = None
            self.status.ended[name] = end
        return end.exit_code == 0

    @contextmanager
    def _started(self, container: Raw) -> Iterator[subprocess.Popen[bytes]]:
        """The container's guard; at the end nothing of the container is left."""
        name = container["name"]
        self.place.prepare()
        run = f"{self.place.run}.{name}"
        with self.place.log(name).open("ab") as output:
            guard = processes.start(
                run, self.place.command(container), self.place.environment(container), self._cwd, output, self._records
            )
        record = Record(run, guard.pid, processes.identity(guard.pid) or "")
        with self._lock:
            self._guard, self._record = guard, record
            if self._stopping:
                guard.terminate()
        try:
            yield guard
        finally:
            with self._lock:
                self._guard = self._record = None
            if guard.stdin is not None:
                guard.stdin.close()
            processes.end([record], grace=0)
            self._records.remove(run)

    def _out_of_time(self) -> None:
        with self._lock:
            self.status.reason = "DeadlineExceeded"
            self.status.message = "Pod was active on the node longer than the specified deadline"
        self.stop(self.grace)

    def _kill(self) -> None:
        with self._lock:
            record, guard = self._record, self._guard
        if record is None or guard is None:
            return
        log.warning("a Job did not end within its grace and is killed", extra={"job": self.name})
        try:
            processes.end([record], grace=0)
        except TimeoutError:
            log.exception("a Job's processes cannot be killed", extra={"job": self.name})

    def _later(self, seconds: float, action: Callable[[], None]) -> None:
        timer = threading.Timer(seconds, action)
        timer.daemon = True
        self._timers.append(timer)
        timer.start()
