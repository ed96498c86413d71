"""The controller: hints say which request to look at again, a full pass asks for all of them, one thread does the looking."""

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
from controller.metrics import Metrics, MetricsServer
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
ACTIONS = 20
"""Actions about one request before the others have their turn."""
RETURN = 0.5
"""Seconds until a Job whose deletion was asked for is looked at again, should no hint come."""
AWAY_SECONDS = 1.0
SWEEP_SECONDS = 5.0
"""Who deletes a face should not find its objects a minute later."""
SHOWN_PLACES = 50
"""Requests at the head of the queue whose place is brought up to date at once; the others' at the next full pass."""


class Controller:
    """Looks at every request that is not done until `run` is told to stop. One instance runs once."""

    def __init__(
        self, settings: Settings, database: Database, objects: Objects, cluster: Cluster,
        worker: Sequence[str] = manifest.WORKER,
    ) -> None:  # fmt: skip
        """`worker`: the command that runs a step, given its name."""
        self.metrics = Metrics(cluster)
        self._settings = settings
        self._database = database
        self._objects = objects
        self._cluster = cluster
        self._shell = Shell(settings, database, objects, cluster, self.metrics, worker)
        self._queue = WorkQueue()
        self._backoff = Backoff()
        self._away = False

    def run(self, stop: threading.Event) -> None:
        """Returns after `stop`; what is under way on the cluster stays. Anything but an Exception goes through."""
        server = None
        if self._settings.metrics_listen_port is not None:
            server = MetricsServer(self.metrics, self._settings.metrics_listen_port)
            log.info("metrics are served", extra={"port": server.port})
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
            for helper in helpers:
                helper.join(JOIN_SECONDS)
            if server is not None:
                server.close()

    def _loop(self, stop: threading.Event) -> None:
        next_pass = 0.0
        while not stop.is_set():
            self.metrics.turned()
            self.metrics.queue.set(len(self._queue))
            if time.monotonic() >= next_pass:
                done = self._guarded(self._full_pass)
                next_pass = time.monotonic() + (self._settings.full_pass_seconds if done else AWAY_SECONDS)
            request = self._queue.take(min(TICK, max(0.0, next_pass - time.monotonic())))
            if request is not None:
                self._attend(request)

    def _full_pass(self) -> bool:
        """Asks for a look at everything that may need one: open, not cleaned, or on the cluster."""
        with self._database.begin() as session:
            found = [*jobs.open_ids(session), *jobs.uncleaned(session)]
        found += [request for raw in self._cluster.jobs() if (request := observed.request_of(raw))]
        for request in dict.fromkeys(found):
            self._queue.add(request)
        return True

    def _attend(self, request: UUID) -> None:
        """Acts about one request until it has to wait. A failure is its own: it is tried again later, the loop goes on."""
        try:
            with self.metrics.looks.time():
                self._act(request)
        except AWAY as error:
            self._note_away(error)
            self._queue.add(request, AWAY_SECONDS)
            time.sleep(AWAY_SECONDS / 4)  # the others would find no database either
        except Exception as error:
            pause = self._backoff.failed(request)
            self.metrics.errors.labels(type(error).__name__).inc()
            log.exception("a look failed; trying again in %.1f s", pause, extra={"request": str(request)})
            self._queue.add(request, pause)
            if isinstance(error, ClusterError):
                self._guarded(partial(self._show, request, error.message))
        else:
            self._away = False
            self._backoff.succeeded(request)

    def _act(self, request: UUID) -> None:
        acted = False
        for _ in range(ACTIONS):
            action = self._shell.look(request)
            match action:
                case Wait(until=until):
                    if until is not None:
                        self._queue.add(request, max(0.0, (until - datetime.now(UTC)).total_seconds()))
                    break
                case DeleteJob():
                    self._queue.add(request, RETURN)
                    break
                case Done():
                    break
            acted = True
        else:
            self._queue.add(request)
        if acted or _over(action):
            self._call_next()

    def _call_next(self) -> None:
        """There may be room for the head of the queue, and the places behind it have moved."""
        with self._database.begin() as session:
            for waiting in jobs.due_ids(session, datetime.now(UTC), SHOWN_PLACES):
                self._queue.add(waiting)

    def _show(self, request: UUID, reason: str) -> None:
        """Whoever waits is told what is in the way."""
        with self._database.begin() as session:
            found = jobs.load(session, request)
            if found is not None:
                requests.set_waiting(session, request, found[0].attempt, reason)

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
                        self._full_pass()
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


def _over(action: Action) -> bool:
    """Whether a place may have become free without our doing: a worker has published, and has a while to end."""
    match action:
        case Done() | Wait(reason=None, until=datetime()):
            return True
    return False
