"""The controller: hints say which requests to look at again, a full pass asks for all of them, one thread does the looking."""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import TypeVar
from uuid import UUID

from controller import manifest, observed
from controller.actions import Action, DeleteJob, Done, Wait
from controller.cluster import Cluster
from controller.errors import ClusterError
from controller.metrics import Metrics
from controller.settings import Settings
from controller.shell import Shell
from controller.work_queue import Backoff, WorkQueue
from store import assets, idempotency, jobs, removals, requests
from store.database import AWAY, Database
from store.logs import first_line
from store.objects import Objects

log = logging.getLogger(__name__)

Result = TypeVar("Result")

TICK = 0.25
"""Seconds after which the loop turns, and the listener looks up, without work."""
JOIN_SECONDS = 5.0
TOGETHER = 32
"""Requests that are looked at together: few enough that none waits long for the others' calls."""
RETURN = 0.5
"""Seconds until a Job whose deletion was asked for is looked at again, should no hint come."""
AWAY_SECONDS = 1.0
SWEEP_SECONDS = 5.0
"""Who deletes a face should not find its objects a minute later."""
SURVEYED = 500
"""Requests that a full pass reads at once."""


class Controller:
    """Looks at every request that is not done until `run` is told to stop. One instance runs once."""

    def __init__(
        self, settings: Settings, database: Database, objects: Objects, cluster: Cluster,
        worker: Sequence[str] = manifest.WORKER, metrics: Metrics | None = None,
    ) -> None:  # fmt: skip
        """`worker`: the command that runs a step, given its name."""
        self.metrics = metrics or Metrics()
        self.metrics.cluster = cluster
        self._settings = settings
        self._database = database
        self._objects = objects
        self._cluster = cluster
        self._shell = Shell(settings, database, objects, cluster, self.metrics, worker)
        self._queue = WorkQueue()
        self._backoff = Backoff()
        self._away = False
        self._next_pass = 0.0

    def run(self, stop: threading.Event) -> None:
        """Returns after `stop`; what is under way on the cluster stays. Anything but an Exception goes through."""
        helpers = [
            threading.Thread(target=self._listen, args=(stop,), name="hints", daemon=True),
            threading.Thread(target=self._sweep, args=(stop,), name="sweeps", daemon=True),
        ]
        self._cluster.watch(self._queue.add)
        for helper in helpers:
            helper.start()
        try:
            self._loop(stop)
        finally:
            stop.set()
            self._shell.close()
            for helper in helpers:
                helper.join(JOIN_SECONDS)

    def _loop(self, stop: threading.Event) -> None:
        while not stop.is_set():
            self.metrics.turned()
            self.metrics.queue.set(len(self._queue))
            if time.monotonic() >= self._next_pass:
                self._next_pass = float("inf")  # who wants one earlier from now on says so
                done = self._guarded(self._full_pass)
                pause = self._settings.full_pass_seconds if done else AWAY_SECONDS
                self._next_pass = min(self._next_pass, time.monotonic() + pause)
            self._guarded(self._call_next)
            due = self._queue.take(TOGETHER, min(TICK, max(0.0, self._next_pass - time.monotonic())))
            if due:
                self._attend(due)

    def _full_pass(self) -> bool:
        """Asks for a look at everything that needs one, of all that is open, not cleaned, or on the cluster."""
        with self._database.look() as session:
            found = [*jobs.open_ids(session), *jobs.uncleaned(session)]
        found += [request for raw in self._cluster.jobs() if (request := observed.request_of(raw))]
        every = list(dict.fromkeys(found))
        for first in range(0, len(every), SURVEYED):
            for request, when in self._shell.survey(every[first : first + SURVEYED]):
                self._look_again(request, when)
        return True

    def _attend(self, due: Sequence[UUID]) -> None:
        """Does the next thing about each. A failure is the request's own: it is tried again later, the loop goes on."""
        try:
            with self.metrics.looks.time():
                outcomes = self._shell.look(due)
        except AWAY as error:
            self._note_away(error)
            for request in due:
                self._queue.add(request, AWAY_SECONDS)
            time.sleep(AWAY_SECONDS / 4)  # the others would find no database either
            return
        self._away = False
        for request, outcome in outcomes.items():
            self._plan(request, outcome)

    def _plan(self, request: UUID, outcome: Action | Exception) -> None:
        """When to look at the request again."""
        if isinstance(outcome, Exception):
            self._failed(request, outcome)
            return
        self._backoff.succeeded(request)
        match outcome:
            case Wait(until=None) | Done():
                pass
            case Wait(until=until):
                self._look_again(request, until)
            case DeleteJob():
                self._queue.add(request, RETURN)
            case _:
                self._queue.add(request)

    def _failed(self, request: UUID, error: Exception) -> None:
        pause = self._backoff.failed(request)
        self.metrics.errors.labels(type(error).__name__).inc()
        log.error("a look failed; trying again in %.1f s", pause, exc_info=error, extra={"request": str(request)})
        self._queue.add(request, pause)
        if isinstance(error, ClusterError):
            self._guarded(partial(self._show, request, error.message))

    def _look_again(self, request: UUID, when: datetime | None) -> None:
        """`when`: None: at once."""
        self._queue.add(request, 0.0 if when is None else max(0.0, (when - datetime.now(UTC)).total_seconds()))

    def _call_next(self) -> None:
        """There may be room for those who are next in the queue."""
        for waiting in self._shell.called():
            self._queue.add(waiting)

    def _show(self, request: UUID, reason: str) -> None:
        """Whoever waits is told what is in the way."""
        with self._database.begin() as session:
            for row, _ in jobs.load(session, [request]).values():
                requests.set_waiting(session, request, row.attempt, reason)

    def _listen(self, stop: threading.Event) -> None:
        """The store's hints. After a pause in them, everything is looked at: some were lost."""
        while not stop.is_set():
            try:
                for heard, request in enumerate(self._database.hints(TICK)):
                    if stop.is_set():
                        return
                    if request is not None:
                        self._queue.add(request)
                    elif heard == 0:
                        self._next_pass = 0.0
            except AWAY as error:
                self._note_away(error)
            except Exception:
                log.exception("listening for hints failed")
            stop.wait(AWAY_SECONDS)

    def _sweep(self, stop: threading.Event) -> None:
        """Housekeeping beside the loop, so that a slow object store never delays a decision."""
        while not stop.is_set():
            self._guarded(self._sweep_rows)
            more: int | None = 1
            while more and not stop.is_set():
                more = self._guarded(self._sweep_objects)
            stop.wait(SWEEP_SECONDS)

    def _sweep_rows(self) -> None:
        with self._database.begin() as session:
            assets.sweep(session)
        with self._database.begin() as session:
            idempotency.sweep(session)

    def _sweep_objects(self) -> int:
        return removals.sweep(self._database, self._objects)

    def _guarded(self, action: Callable[[], Result]) -> Result | None:
        """None when it failed: it has been logged and comes again."""
        try:
            return action()
        except AWAY as error:
            self._note_away(error)
        except Exception as error:
            self.metrics.errors.labels(type(error).__name__).inc()
            log.exception("the controller's own round failed")
        return None

    def _note_away(self, error: Exception) -> None:
        """One line an outage."""
        if not self._away:
            log.warning("the database does not answer; waiting for it: %s", first_line(error))
        self._away = True
