"""Leadership by a Lease: of several controllers one leads.

Whether a holder still lives is judged by what this process sees change, on its own monotonic clock; the times inside the Lease
are another machine's clock and only for people to read. This is no fence (a paused leader wakes up believing in itself), so every
write to the database carries the attempt besides. Times as in client-go: 15 s, renewed every 5 s, given up after 10 s.
"""

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from controller.errors import ApiError, ClusterError
from controller.kube_api import KubeApi, Raw, namespaced

log = logging.getLogger(__name__)

GROUP = "apis/coordination.k8s.io/v1"
CONFLICT, NOT_FOUND = 409, 404


@dataclass(frozen=True)
class Terms:
    """Seconds. A renewal that failed for `give_up` ends the leader, before another may believe it dead after `duration`."""

    duration: float = 15.0
    renew: float = 5.0
    give_up: float = 10.0
    retry: float = 2.0


class Lease:
    """The Lease `name`, wanted by `identity`. `lost` is called, once, when leadership cannot be kept: the process must end."""

    def __init__(
        self, api: KubeApi, namespace: str, name: str, identity: str, lost: Callable[[], None], terms: Terms | None = None
    ) -> None:  # fmt: skip
        self._api, self._namespace, self._name = api, namespace, name
        self._identity, self._lost, self._terms = identity, lost, terms or Terms()
        self._path = namespaced(GROUP, namespace, "leases", name)
        self._observed: str | None = None
        self._observed_at = 0.0
        self._held: Raw | None = None
        self._released = threading.Event()
        self._thread: threading.Thread | None = None

    def acquire(self, stop: threading.Event) -> bool:
        """Waits until this process leads; False: it was told to stop first."""
        said = False
        while not stop.is_set():
            try:
                holder = self._try()
                if holder == self._identity:
                    log.info("this controller leads", extra={"identity": self._identity})
                    self._thread = threading.Thread(target=self._keep, name="lease", daemon=True)
                    self._thread.start()
                    return True
                if not said:
                    log.info("another controller leads; standing by", extra={"leader": holder})
                    said = True
                self._await_change(stop)
            except ClusterError as error:
                log.warning("the lease cannot be had: %s", error)
                stop.wait(self._terms.retry)
        return False

    def release(self) -> None:
        """Hands leadership over at once, where it is held."""
        self._released.set()
        if self._thread is None:
            return
        self._thread.join(self._terms.give_up)
        if self._held is not None:
            try:
                self._write(self._held, holder="", duration=1)
            except ClusterError as error:
                log.warning("the lease could not be released; it runs out by itself: %s", error)
            self._held = None

    def _try(self) -> str:
        """One look, and one attempt to take what is free. Returns who holds it now."""
        try:
            lease = self._call("GET", self._path)
        except ApiError as error:
            if error.status != NOT_FOUND:
                raise
            return self._create()
        spec = lease.get("spec") or {}
        holder = str(spec.get("holderIdentity") or "")
        self._observe(lease)
        if holder and holder != self._identity and time.monotonic() < self._observed_at + self._terms.duration:
            return holder
        try:
            self._held = self._write(lease, self._identity, round(self._terms.duration))
        except ApiError as error:
            if error.status != CONFLICT:
                raise
            return "another"  # somebody was faster
        return self._identity

    def _create(self) -> str:
        lease: Raw = {
            "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
            "metadata": {"name": self._name, "namespace": self._namespace},
            "spec": {**self._spec(self._identity, round(self._terms.duration)), "acquireTime": _now(), "leaseTransitions": 0},
        }  # fmt: skip
        try:
            self._held = self._call("POST", namespaced(GROUP, self._namespace, "leases"), lease)
        except ApiError as error:
            if error.status != CONFLICT:
                raise
            return "another"
        return self._identity

    def _observe(self, lease: Raw) -> None:
        version = str(lease["metadata"]["resourceVersion"])
        if version != self._observed:
            self._observed, self._observed_at = version, time.monotonic()

    def _await_change(self, stop: threading.Event) -> None:
        """Until the Lease changes hands, is let go, or was not renewed in time: one watch, so that standing by is no polling."""
        left = self._observed_at + self._terms.duration - time.monotonic()
        if self._observed is None or left <= 0:
            stop.wait(self._terms.retry if self._observed is None else 0.0)
            return
        query: dict[str, str | int] = {
            "fieldSelector": f"metadata.name={self._name}", "resourceVersion": self._observed,
            "timeoutSeconds": max(1, round(2 * self._terms.duration)),
        }  # fmt: skip
        path = namespaced(GROUP, self._namespace, "leases")
        try:
            for event in self._api.watch(path, query, left):
                if event["type"] == "DELETED" or not (event["object"].get("spec") or {}).get("holderIdentity") or stop.is_set():
                    return
                self._observe(event["object"])
        except ApiError:
            stop.wait(self._terms.retry)  # 410 or a busy server: look anew
        except ClusterError:
            pass  # silence for as long as the lease lasts: nobody renews it, or nobody can be heard; looking tells

    def _keep(self) -> None:
        """Renews until released. The process ends with leadership: whatever it was doing, another does it now."""
        renewed = time.monotonic()
        pause = self._terms.renew
        while not self._released.wait(pause):
            try:
                lease = self._held or {}
                self._held = self._write(lease, self._identity, round(self._terms.duration))
                renewed, pause = time.monotonic(), self._terms.renew
            except ClusterError as error:
                log.warning("the lease was not renewed: %s", error)
                taken = isinstance(error, ApiError) and error.status in (CONFLICT, NOT_FOUND) and not self._still_ours()
                if taken or time.monotonic() >= renewed + self._terms.give_up:
                    log.error("leadership is lost")
                    self._held = None
                    self._lost()
                    return
                pause = min(self._terms.retry, max(0.0, renewed + self._terms.give_up - time.monotonic()))

    def _still_ours(self) -> bool:
        """After a conflict: our own write whose answer was lost, or somebody's label, leaves us the holder."""
        try:
            lease = self._call("GET", self._path)
        except ClusterError as error:
            return not (isinstance(error, ApiError) and error.status == NOT_FOUND)
        if (lease.get("spec") or {}).get("holderIdentity") != self._identity:
            return False
        self._held = lease
        return True

    def _write(self, lease: Raw, holder: str, duration: int) -> Raw:
        """By the resourceVersion that was seen: who saw an older one gets 409."""
        spec = dict(lease.get("spec") or {})
        if spec.get("holderIdentity") != holder and holder:
            spec |= {"acquireTime": _now(), "leaseTransitions": int(spec.get("leaseTransitions") or 0) + 1}
        spec |= self._spec(holder, duration)
        return self._call("PUT", self._path, {**lease, "spec": spec})

    def _call(self, method: str, path: str, body: Raw | None = None) -> Raw:
        return self._api.call(method, path, body, seconds=self._terms.give_up / 2)

    @staticmethod
    def _spec(holder: str, duration: int) -> Raw:
        return {"holderIdentity": holder, "leaseDurationSeconds": duration, "renewTime": _now()}


def _now() -> str:
    """A MicroTime."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
