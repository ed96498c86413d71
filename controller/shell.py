"""One look at one request: load, observe, decide, carry out. All that acts is here; what to do is decided elsewhere."""

import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

from controller import decide, manifest, observed
from controller.actions import Acknowledge, Action, CreateJob, DeleteJob, Done, Finish, MarkCleaned, Requeue, Submit, Tail, Wait
from controller.cluster import TOKEN_KEY, Cluster
from controller.errors import JobExistsError, ManifestError
from controller.metrics import Metrics
from controller.settings import Settings
from store import jobs, models, requests, tokens
from store.database import Database
from store.objects import LOG_LAST, Objects, log_key

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Sight:
    """All that is known about a request at one moment: rows, and what the cluster shows of the attempt in question."""

    row: models.Request
    attempt_row: models.Attempt | None
    request: observed.Request
    attempt: observed.Attempt | None
    queue: decide.Queue
    job: observed.Job | None
    pods: tuple[observed.Pod, ...]
    strays: tuple[str, ...]
    """Names of Jobs that carry the request's label and belong to no attempt that is left."""


class Shell:
    """Carries decisions out. Used by one thread."""

    def __init__(
        self, settings: Settings, database: Database, objects: Objects, cluster: Cluster, metrics: Metrics, worker: Sequence[str]
    ) -> None:
        self._settings = settings
        self._database = database
        self._objects = objects
        self._cluster = cluster
        self._metrics = metrics
        self._worker = worker
        self._limits = settings.limits(cluster.slots)

    def look(self, request_id: UUID) -> Action:
        """Does the next thing about the request and says what it was. Raises what database, cluster and objects raise."""
        now = datetime.now(UTC)
        sight = self._see(request_id, now)
        if sight is None:
            for raw in self._cluster.jobs(request_id):  # the request was deleted, with all that was known of its Jobs
                self._cluster.delete(raw["metadata"]["name"])
            return Done()
        for name in sight.strays:
            log.warning("a Job of no attempt is deleted", extra={"request": str(request_id), "job": name})
            self._cluster.delete(name)
        action = decide.decide(sight.request, sight.attempt, sight.job, sight.pods, now, self._limits, sight.queue)
        self._carry_out(action, sight)
        if not isinstance(action, Wait | Done):
            self._metrics.actions.labels(type(action).__name__).inc()
            log.info("%s", action, extra={"request": str(request_id), "action": type(action).__name__})
        return action

    def _see(self, request_id: UUID, now: datetime) -> Sight | None:
        """The database first: what the cluster shows may be newer, and every write is guarded.

        now: the moment that is decided for as well, so that a request is either due or not.
        """
        with self._database.begin() as session:
            found = jobs.load(session, request_id)
            if found is None:
                return None
            row, rows = found
            active, place = jobs.queue(session, row, now) if row.state == models.State.QUEUED else (0, 0)
        attempt_row = next((one for one in rows if one.cleaned_at is None), rows[-1] if rows else None)
        attempt = None if attempt_row is None else observed.Attempt.of(attempt_row)
        raw_jobs = self._cluster.jobs(request_id)
        found_jobs = [observed.Job.parse(raw) for raw in raw_jobs]
        known = {str(one.id) for one in rows if one.cleaned_at is None}
        ours = [job for job in found_jobs if attempt and job.attempt_id == str(attempt.id) and job.name == attempt.job_name]
        pods = [raw for raw in self._cluster.pods(request_id) if attempt and observed.job_of(raw) == attempt.job_name]
        return Sight(
            row, attempt_row, observed.Request.of(row), attempt, decide.Queue(active, place),
            ours[0] if ours else None, tuple(observed.Pod.parse(raw) for raw in pods),
            tuple(job.name for job in found_jobs if job.attempt_id not in known and not job.deleting),
        )  # fmt: skip

    def _carry_out(self, action: Action, sight: Sight) -> None:
        match action:
            case Submit(number):
                self._submit(sight, number)
            case CreateJob():
                self._create(sight)
            case Acknowledge(attempt, job_uid):
                with self._database.begin() as session:
                    jobs.acknowledge(session, attempt, job_uid)
            case Requeue() | Finish():
                self._end(action, sight)
            case DeleteJob(name):
                self._cluster.delete(name)
            case MarkCleaned(attempt):
                with self._database.begin() as session:
                    jobs.cleaned(session, attempt)
            case Wait(reason):
                self._explain(sight.request, reason)
            case Done():
                pass

    def _submit(self, sight: Sight, number: int) -> None:
        with self._database.begin() as session:
            jobs.submit(session, sight.request.id, number)

    def _create(self, sight: Sight) -> None:
        """Creates the Job and notes that it is there; a crash between the two is healed by the name, which is taken then."""
        if sight.attempt_row is None:
            return
        try:
            job = manifest.build(manifest.Plan.of(sight.row, sight.attempt_row), self._settings, self._worker)
        except ManifestError as error:
            failed = Finish(sight.attempt_row.number, models.State.FAILED, error.code, error.message)
            self._end(failed, sight)
            return
        token = tokens.sign(sight.attempt_row.id, self._settings.token_keys[0])
        try:
            uid = self._cluster.create(job, {TOKEN_KEY: token})
        except JobExistsError:
            self._adopt(sight, sight.attempt_row)
        else:
            with self._database.begin() as session:
                jobs.acknowledge(session, sight.attempt_row.id, uid)
            if sight.attempt_row.number == 1:
                self._metrics.start.observe((datetime.now(UTC) - sight.row.created_at).total_seconds())

    def _adopt(self, sight: Sight, attempt: models.Attempt) -> None:
        """The name is taken: by our own earlier try, or by a stranger, whom the next attempt's name avoids."""
        raw = self._cluster.get(attempt.job_name)
        if raw is None:
            return
        job = observed.Job.parse(raw)
        if observed.request_of(raw) == sight.request.id and job.attempt_id == str(attempt.id):
            with self._database.begin() as session:
                jobs.acknowledge(session, attempt.id, job.uid)
            return
        log.error("a Job that is not ours has the name", extra={"request": str(sight.request.id), "job": attempt.job_name})
        stranger = f"a Job named {attempt.job_name} that is not ours stood in the way"
        self._end(Requeue(attempt.number, False, "job_foreign", stranger, None), sight)

    def _end(self, action: Requeue | Finish, sight: Sight) -> None:
        if action.tail is not None:
            self._keep_tail(action.tail, sight, action.number)
        request_id = sight.request.id
        with self._database.begin() as session:
            match action:
                case Requeue(number, counted, code, message, next_try_at):
                    jobs.requeue(
                        session, request_id, number, counted=counted, code=code, message=message, next_try_at=next_try_at
                    )
                case Finish(number, state, code, message):
                    jobs.finish(session, request_id, number, state, code, message)

    def _keep_tail(self, tail: Tail, sight: Sight, number: int) -> None:
        """The last lines go beside those that the worker sent, before the outcome is told."""
        lines = self._cluster.tail(tail.pod, tail.container)
        if lines:
            context = {
                "request": str(sight.request.id), "attempt": number, "kind": sight.row.kind, "avatar": sight.row.avatar,
                "step": tail.container,
            }  # fmt: skip
            body = "".join(json.dumps(_line(text, context), ensure_ascii=False) + "\n" for text in lines)
            key = log_key(sight.request.id, number, LOG_LAST, "controller", 0)
            self._objects.put(key, body.encode(), "application/x-ndjson")

    def _explain(self, request: observed.Request, reason: str | None) -> None:
        if not request.final and reason != request.waiting_reason:
            with self._database.begin() as session:
                requests.set_waiting(session, request.id, request.attempt, reason)


def _line(text: str, context: dict[str, object]) -> dict[str, object]:
    """A line of ours as it is, any other wrapped."""
    try:
        found = json.loads(text)
    except ValueError:
        found = None
    if isinstance(found, dict):
        return {**context, **found}
    return {"time": datetime.now(UTC).isoformat(), "level": "error", "message": text, **context}
