"""One look at one request: load, observe, decide, carry out. All that acts is here; what to do is decided elsewhere."""

import json
import logging
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from uuid import UUID

from controller import decide, manifest, observed
from controller.actions import Acknowledge, Action, CreateJob, DeleteJob, Done, Finish, MarkCleaned, Requeue, Submit, Tail, Wait
from controller.cluster import TOKEN_KEY, Cluster
from controller.errors import JobExistsError, ManifestError
from controller.metrics import Metrics
from controller.settings import Settings
from controller.sight import Observer, Sight
from store import jobs, models, requests, tokens
from store.database import Database
from store.objects import LOG_LAST, Objects, log_key

log = logging.getLogger(__name__)


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
        self._limits = settings.limits()
        self._observer = Observer(database, cluster, settings.caps(cluster.slots))

    def look(self, request_id: UUID) -> Action:
        """Does the next thing about the request and says what it was. Raises what database, cluster and objects raise."""
        now = datetime.now(UTC)
        sight = self._observer.see([request_id], now).get(request_id)
        if sight is None:
            for raw in self._cluster.jobs(request_id):  # the request was deleted, with all that was known of its Jobs
                self._cluster.delete(raw["metadata"]["name"])
            return Done()
        for name in sight.strays:
            log.warning("a Job of no attempt is deleted", extra={"request": str(request_id), "job": name})
            self._cluster.delete(name)
        sight = self._observer.explained(sight, now - self._limits.settling)
        action = self._decide(sight, now)
        self._carry_out(action, sight)
        if not isinstance(action, Wait | Done):
            self._metrics.actions.labels(type(action).__name__).inc()
            log.info("%s", action, extra={"request": str(request_id), "action": type(action).__name__})
        return action

    def survey(self, requests: Sequence[UUID]) -> Iterator[tuple[UUID, datetime | None]]:
        """Which of the requests want a look, and when: one now that has something to be done or said."""
        now = datetime.now(UTC)
        self._observer.room_changed()  # another leader may have made room, or a commit's answer may have been lost
        sights = self._observer.see(requests, now)
        for request in requests:
            sight = sights.get(request)
            action = None if sight is None or sight.strays else self._decide(sight, now)
            match action:
                case Done():
                    pass
                case Wait(reason, until) if sight and (sight.request.final or reason == sight.request.waiting_reason):
                    if until is not None:
                        yield request, until
                case _:
                    yield request, None

    def called(self) -> list[UUID]:
        """Queued requests that may start, each time that the queue was read anew."""
        return self._observer.called(datetime.now(UTC))

    def _decide(self, sight: Sight, now: datetime) -> Action:
        return decide.decide(sight.request, sight.attempt, sight.job, sight.pods, now, self._limits, sight.admitted)

    def _carry_out(self, action: Action, sight: Sight) -> None:
        match action:
            case Submit(number):
                self._submit(sight, number)
            case CreateJob():
                self._create(sight)
            case Acknowledge(_, job_uid):
                self._acknowledge(sight, job_uid)
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
        try:
            uid = self._cluster.create(job, self._secret(sight.attempt_row))
        except JobExistsError:
            self._adopt(sight, sight.attempt_row)
        else:
            with self._database.begin() as session:
                jobs.acknowledge(session, sight.attempt_row.id, uid)
            if sight.attempt_row.number == 1:
                self._metrics.start.observe((datetime.now(UTC) - sight.row.created_at).total_seconds())

    def _acknowledge(self, sight: Sight, job_uid: str) -> None:
        """A Job of ours whose creation was cut short by a crash may lack its Secret."""
        if sight.attempt_row is None:
            return
        self._cluster.entrust(sight.attempt_row.job_name, job_uid, self._secret(sight.attempt_row))
        with self._database.begin() as session:
            jobs.acknowledge(session, sight.attempt_row.id, job_uid)

    def _secret(self, attempt: models.Attempt) -> dict[str, str]:
        return {TOKEN_KEY: tokens.sign(attempt.id, self._settings.token_keys[0])}

    def _adopt(self, sight: Sight, attempt: models.Attempt) -> None:
        """The name is taken: by our own earlier try, or by a stranger, whom the next attempt's name avoids."""
        raw = self._cluster.get(attempt.job_name)
        if raw is None:
            return
        job = observed.Job.parse(raw)
        if observed.request_of(raw) == sight.request.id and job.attempt_id == str(attempt.id):
            self._acknowledge(sight, job.uid)
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
        self._observer.room_changed()

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
