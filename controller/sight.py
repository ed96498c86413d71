"""Looking: what rows and cluster say about requests at one moment, and which of them may start."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from controller import observed
from controller.actions import Action
from controller.admission import Caps, admit
from controller.cluster import Cluster
from controller.errors import ClusterError
from store import jobs, models, queue
from store.database import Database

REST = 3
"""The queue rests for so many times what reading it took: a long one must not take all the time there is."""


@dataclass(frozen=True)
class Sight:
    """All that is known about a request at one moment: rows, and what the cluster shows of the attempt in question."""

    row: models.Request
    attempt_row: models.Attempt | None
    request: observed.Request
    attempt: observed.Attempt | None
    admitted: bool
    job: observed.Job | None
    pods: tuple[observed.Pod, ...]
    strays: tuple[str, ...]
    """Names of Jobs that carry the request's label and belong to no attempt that is left."""


class Observer:
    """Sees requests as they are. Used by one thread."""

    def __init__(self, database: Database, cluster: Cluster, caps: Caps) -> None:
        self._database, self._cluster, self._caps = database, cluster, caps
        self._waiting: frozenset[UUID] = frozenset()
        self._admitted: frozenset[UUID] = frozenset()
        self._called: list[UUID] = []
        self._stale = True
        self._rested = 0.0

    def see(self, requests: Sequence[UUID], now: datetime) -> dict[UUID, Sight]:
        """Those of the requests that are there. The database first: what the cluster shows may be newer.

        now: the moment that is decided for as well, so that a request is either due or not.
        """
        with self._database.look() as session:
            rows = jobs.load(session, requests)
        if any(self._moves(row) for row, _ in rows.values()):
            self._stale = True
        self._read_queue(now)
        return {request: self._sight(*found) for request, found in rows.items()}

    def explained(self, sights: dict[UUID, Sight], before: datetime) -> tuple[dict[UUID, Sight], dict[UUID, Action | Exception]]:
        """With the cluster's own words, where a Job of before then has no pod: they have to be asked for, all at once.

        The second: those that must be told later, because the cluster gave no answer.
        """
        unclear = {request: sight.job for request, sight in sights.items() if sight.job and _unclear(sight, sight.job, before)}
        if not unclear:
            return sights, {}
        try:
            troubles = self._cluster.troubles([job.name for job in unclear.values()])
        except ClusterError as error:
            return sights, dict.fromkeys(unclear, error)
        told = {
            request: replace(sights[request], job=replace(job, trouble=troubles.get(job.name)))
            for request, job in unclear.items()
        }
        return sights | told, {}

    def room_changed(self) -> None:
        """A request at work has ended: another may start."""
        self._stale = True

    def called(self, now: datetime) -> list[UUID]:
        """Who may start, each time that this was found out anew; else nobody."""
        self._read_queue(now)
        called, self._called = self._called, []
        return called

    def _read_queue(self, now: datetime) -> None:
        """If it may have changed, and after a rest."""
        if not self._stale or time.monotonic() < self._rested:
            return
        began = time.monotonic()
        with self._database.look() as session:
            at_work, waiting = queue.at_work(session), queue.waiting(session, now)
        self._waiting = frozenset(one.id for one in waiting)
        self._stale = False
        self._called = admit(waiting, at_work, self._caps)
        self._admitted = frozenset(self._called)
        ended = time.monotonic()
        self._rested = ended + REST * (ended - began)

    def _moves(self, row: models.Request) -> bool:
        """Whether the queue may look different: the request is new in it, or has left a place at work."""
        return row.state in models.FINAL or (row.state == models.State.QUEUED and row.id not in self._waiting)

    def _sight(self, row: models.Request, rows: Sequence[models.Attempt]) -> Sight:
        attempt_row = next((one for one in rows if one.cleaned_at is None), rows[-1] if rows else None)
        attempt = None if attempt_row is None else observed.Attempt.of(attempt_row)
        found = [observed.Job.parse(raw) for raw in self._cluster.jobs(row.id)]
        known = {str(one.id) for one in rows if one.cleaned_at is None}
        ours = [job for job in found if attempt and job.attempt_id == str(attempt.id) and job.name == attempt.job_name]
        ours = [replace(job, trouble=self._cluster.held(job.name)) if job.suspended else job for job in ours]
        pods = [raw for raw in self._cluster.pods(row.id) if attempt and observed.job_of(raw) == attempt.job_name]
        return Sight(
            row, attempt_row, observed.Request.of(row), attempt, row.id in self._admitted, ours[0] if ours else None,
            tuple(observed.Pod.parse(raw) for raw in pods),
            tuple(job.name for job in found if job.attempt_id not in known and not job.deleting),
        )  # fmt: skip


def _unclear(sight: Sight, job: observed.Job, before: datetime) -> bool:
    """Whether the Job has no pod though it should."""
    return job.created_at <= before and not (sight.pods or job.suspended or job.finished or sight.request.final)
