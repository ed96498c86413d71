"""A copy of what the API server holds of one kind of object: listed in pages, then watched.

A watch can die without a word, end with 410, or tell things twice or late. So: the server ends each watch after `watch` seconds,
the socket gives up after `silence` seconds; a new watch starts where the last one stood; 410 leads to a new list, as does the
clock every `relist` seconds; an object only ever becomes newer, by its resourceVersion; and where list and copy disagree about
which is newer (a stale list, a database restored from yesterday) the object itself is asked for.
"""

import logging
import random
import threading
import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass

from controller.errors import ApiError, ClusterError
from controller.kube_api import KubeApi, Raw
from controller.observed import request_of

log = logging.getLogger(__name__)

GONE = 410
SHORTEST_WATCH = 1.0
"""Seconds: a server that ends every watch at once is not asked in a hot loop."""
TOMBSTONES = 10_000


@dataclass(frozen=True)
class Pace:
    """Seconds, but for `page`."""

    page: int = 500
    watch: float = 30.0
    silence: float = 45.0
    relist: float = 300.0
    backoff: float = 0.5
    backoff_longest: float = 30.0


class Reflector:
    """The objects under `path` that a label selector finds, kept up to date by a thread of its own."""

    def __init__(
        self,
        api: KubeApi,
        path: str,
        labels: str,
        keep: Callable[[Raw], Raw],
        changed: Callable[[Raw], None],
        pace: Pace | None = None,
        key: Callable[[Raw], Hashable | None] = request_of,
    ) -> None:
        """`keep`: what of an object is kept; `changed`: called with what was kept of an object that came, changed or went.

        `key`: of what was kept, by which `of` finds it; None: it is not found that way.
        """
        self._api, self._path, self._labels = api, path, labels
        self._keep, self._changed, self._pace, self._key = keep, changed, pace or Pace(), key
        self._lock = threading.Lock()
        self._objects: dict[str, Raw] = {}
        self._by_key: dict[Hashable, dict[str, Raw]] = {}
        self._gone: dict[str, float] = {}
        self._version: str | None = None
        self._listed = self._heard = time.monotonic()
        self._failures = 0
        self._synced = threading.Event()
        self._stop = threading.Event()
        name = path.rsplit("/", 1)[-1]
        self._thread = threading.Thread(target=self._run, name=f"watch of {name}", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Does not wait: the thread may stand in a read, and dies with the process."""
        self._stop.set()

    def wait(self, seconds: float) -> bool:
        """Whether a first list was complete within that time."""
        return self._synced.wait(seconds)

    def age(self) -> float:
        """Seconds since the API server was last heard from."""
        return time.monotonic() - self._heard

    def all(self) -> list[Raw]:
        with self._lock:
            return list(self._objects.values())

    def of(self, key: Hashable) -> list[Raw]:
        """Those of that key."""
        with self._lock:
            return list(self._by_key.get(key, {}).values())

    def get(self, name: str) -> Raw | None:
        with self._lock:
            return self._objects.get(name)

    def saw(self, raw: Raw) -> None:
        """Takes in an object that a write of ours has answered with."""
        self._put(self._keep(raw))

    def forget(self, name: str, uid: str | None = None) -> None:
        """A delete of ours has removed it: late news of it is ignored."""
        with self._lock:
            known = self._objects.get(name)
            if known is not None and uid in (None, known["metadata"]["uid"]):
                self._drop(known, float("inf"))

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                if self._version is None or time.monotonic() >= self._listed + self._pace.relist:
                    self._version = self._list()
                    self._listed = time.monotonic()
                    self._synced.set()
                began = time.monotonic()
                self._follow()
                self._failures = 0
                self._stop.wait(max(0.0, SHORTEST_WATCH - (time.monotonic() - began)))
            except ApiError as error:
                if error.status == GONE:
                    self._version = None
                self._pause(error, error.retry_after)
            except ClusterError as error:
                self._pause(error, None)
            except Exception as error:
                self._version = None
                log.exception("a watch failed", extra={"path": self._path})
                self._pause(error, None)

    def _pause(self, error: Exception, retry_after: float | None) -> None:
        """Back-off with jitter, so that many controllers do not come back at once; longer where the server says so."""
        self._failures += 1
        longest = min(self._pace.backoff * (1 << min(self._failures - 1, 20)), self._pace.backoff_longest)
        level = logging.INFO if self._failures == 1 else logging.WARNING
        log.log(level, "a watch ended and is begun again: %s", error, extra={"path": self._path, "failures": self._failures})
        self._stop.wait(max(retry_after or 0.0, longest * random.uniform(0.5, 1.0)))  # noqa: S311

    def _list(self) -> str:
        """The list's resourceVersion. A list that cannot be finished changes nothing."""
        found: dict[str, Raw] = {}
        query: dict[str, str | int] = {"labelSelector": self._labels, "limit": self._pace.page}
        while True:
            page = self._api.call("GET", self._path, query=query)
            self._heard = time.monotonic()
            # Kept at once: ten thousand whole objects would stay in the process's memory after the list.
            found.update((raw["metadata"]["name"], self._keep(raw)) for raw in page.get("items") or ())
            following = page["metadata"].get("continue")
            if not following:
                break
            query["continue"] = following
        version = str(page["metadata"]["resourceVersion"])
        for kept in found.values():
            self._put(kept)
        for known in self.all():
            listed = found.get(known["metadata"]["name"])
            if listed is None and _number(known) <= int(version):
                self._remove(known)
            elif listed is None or _number(listed) < _number(known):
                self._ask(known)
        return version

    def _ask(self, known: Raw) -> None:
        """Which of list and copy is right? The object itself says."""
        name = known["metadata"]["name"]
        try:
            raw = self._api.call("GET", f"{self._path}/{name}")
        except ApiError as error:
            if error.status != 404:
                raise
            self._remove(known)
        else:
            self._put(self._keep(raw), newer=True)

    def _follow(self) -> None:
        """One watch, from where the last one stood."""
        query: dict[str, str | int] = {
            "labelSelector": self._labels, "resourceVersion": self._version or "", "allowWatchBookmarks": "true",
            "timeoutSeconds": max(1, round(self._pace.watch)),
        }  # fmt: skip
        for event in self._api.watch(self._path, query, self._pace.silence):
            self._heard = time.monotonic()
            raw = event["object"]
            match event["type"]:
                case "ADDED" | "MODIFIED":
                    self._put(self._keep(raw))
                case "DELETED":
                    self._remove(raw)
            self._version = raw["metadata"]["resourceVersion"]
            if self._stop.is_set():
                return
        self._heard = time.monotonic()

    def _put(self, kept: Raw, newer: bool = False) -> None:
        name, uid = kept["metadata"]["name"], kept["metadata"]["uid"]
        with self._lock:
            known = self._objects.get(name)
            if _number(kept) <= self._gone.get(uid, -1):
                return
            if known is not None and not newer and known["metadata"]["uid"] == uid and _number(kept) <= _number(known):
                return
            self._objects[name] = kept
            if key := self._key(kept):
                self._by_key.setdefault(key, {})[name] = kept
        self._changed(kept)

    def _remove(self, raw: Raw) -> None:
        """It is gone; another object that has taken its name since then is not."""
        with self._lock:
            known = self._objects.get(raw["metadata"]["name"])
            if known is None or known["metadata"]["uid"] != raw["metadata"]["uid"]:
                return
            self._drop(known, _number(raw))
        self._changed(known)

    def _drop(self, known: Raw, version: float) -> None:
        """Under the lock. What is told later about it, up to `version`, is old news."""
        name = known["metadata"]["name"]
        del self._objects[name]
        if key := self._key(known):
            of_key = self._by_key.get(key, {})
            of_key.pop(name, None)
            if not of_key:
                self._by_key.pop(key, None)
        self._gone[known["metadata"]["uid"]] = version
        if len(self._gone) > TOMBSTONES:
            del self._gone[next(iter(self._gone))]


def _number(raw: Raw) -> int:
    """Kubernetes compares resourceVersions of one resource as numbers (documented since 1.35, true for long)."""
    return int(raw["metadata"].get("resourceVersion") or 0)
