"""One look at some requests: load, observe, decide, carry out. All that acts is here; what to do is decided elsewhere."""

import json
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from uuid import UUID

from minio.error import S3Error
from sqlalchemy.orm import Session

from controller import decide, manifest, observed
from controller.actions import Acknowledge, Action, CreateJob, DeleteJob, Done, Finish, MarkCleaned, Requeue, Submit, Tail, Wait
from controller.cluster import TOKEN_KEY, Cluster
from controller.errors import ApiAwayError, JobExistsError, ManifestError
from controller.metrics import Metrics
from controller.settings import Settings
from controller.sight import Observer, Sight
from store import jobs, models, requests, tokens
from store.database import AWAY, Database
from store.logs import first_line
from store.objects import LOG_LAST, Objects, log_key

log = logging.getLogger(__name__)


Write = Callable[[Session], object]
"""What is to stand in the store."""


class Shell:
    """Carries decisions out. For one thread; what it asks of the cluster may go side by side."""

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
        self._pool = ThreadPoolExecutor(cluster.at_once, "calls") if cluster.at_once > 1 else None

    def look(self, asked: Sequence[UUID]) -> dict[UUID, Action | Exception]:
        """Does the next thing about each of the requests; says what it was, or what went wrong with it.

        Raises one of store.database.AWAY when the database does not answer.
        """
        try:
            return self._round(asked)
        except AWAY:
            raise
        except Exception as error:
            if len(asked) == 1:
                return {asked[0]: error}
            log.info("one by one, because together they failed: %s", first_line(error))
            return {request: outcome for one in asked for request, outcome in self.look([one]).items()}

    def survey(self, asked: Sequence[UUID]) -> Iterator[tuple[UUID, datetime | None]]:
        """Which of the requests want a look, and when: one now that has something to be done or said."""
        now = datetime.now(UTC)
        self._observer.room_changed()  # another leader may have made room, or a commit's answer may have been lost
        try:
            sights = self._observer.see(asked, now)
        except AWAY:
            raise
        except Exception:
            log.exception("one of these cannot be seen; each is looked at by itself")
            yield from ((request, None) for request in asked)
            return
        for request in asked:
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

    def close(self) -> None:
        """Waits for calls that are under way."""
        if self._pool is not None:
            self._pool.shutdown()

    def _round(self, asked: Sequence[UUID]) -> dict[UUID, Action | Exception]:
        """All are seen with one look, and written down with one commit: what needs no call first, then the others."""
        now = datetime.now(UTC)
        seen = self._observer.see(asked, now)
        sights, outcomes = self._observer.explained(seen, now - self._limits.settling)
        writes: dict[UUID, Write] = {}
        calls: dict[UUID, Callable[[], Write | None]] = {}
        for request in sorted(asked):  # the order in which rows are locked
            sight = sights.get(request)
            if request in outcomes:
                continue
            if sight is None:
                calls[request] = partial(self._forget, request)
                outcomes[request] = Done()
                continue
            action = outcomes[request] = self._decide(sight, now)
            if _needs_call(action, sight):
                calls[request] = partial(self._carry_out, action, sight)
            elif write := self._write_of(action, sight):
                writes[request] = write
        for request, given in self._commit(writes).items():
            if isinstance(given, models.Attempt):  # submitted: it gets its Job with the same look
                calls[request] = partial(self._create, replace(sights[request], attempt_row=given))
        answers = self._side_by_side(calls)
        outcomes |= {request: answer for request, answer in answers.items() if isinstance(answer, Exception)}
        self._commit({request: answer for request, answer in answers.items() if answer and not isinstance(answer, Exception)})
        for request, outcome in outcomes.items():
            self._note(request, outcome)
        return outcomes

    def _note(self, request: UUID, outcome: Action | Exception) -> None:
        match outcome:
            case Requeue() | Finish():
                self._observer.room_changed()
        if not isinstance(outcome, Wait | Done | Exception):
            self._metrics.actions.labels(type(outcome).__name__).inc()
            log.info("%s", outcome, extra={"request": str(request), "action": type(outcome).__name__})

    def _decide(self, sight: Sight, now: datetime) -> Action:
        return decide.decide(sight.request, sight.attempt, sight.job, sight.pods, now, self._limits, sight.admitted)

    def _commit(self, writes: Mapping[UUID, Write]) -> dict[UUID, object]:
        """All or none. What each gave."""
        if not writes:
            return {}
        with self._database.begin() as session:
            return {request: write(session) for request, write in writes.items()}

    def _side_by_side(self, calls: Mapping[UUID, Callable[[], Write | None]]) -> dict[UUID, Write | Exception | None]:
        """What each gave, or what it raised. Once the cluster is found away, it is not called again."""
        away: list[Exception] = []

        def answer(call: Callable[[], Write | None]) -> Write | Exception | None:
            if away:
                return away[0]
            try:
                return call()
            except Exception as error:
                if isinstance(error, ApiAwayError):
                    away.append(error)
                return error

        spread = map if self._pool is None or len(calls) == 1 else self._pool.map
        return dict(zip(calls, spread(answer, calls.values()), strict=True))

    def _carry_out(self, action: Action, sight: Sight) -> Write | None:
        """The calls; what they change is still to be written down."""
        for name in sight.strays:
            log.warning("a Job of no attempt is deleted", extra={"request": str(sight.request.id), "job": name})
            self._cluster.delete(name)
        match action:
            case CreateJob():
                return self._create(sight)
            case Acknowledge(_, job_uid):
                return self._acknowledge(sight, job_uid)
            case DeleteJob(name):
                self._cluster.delete(name)
            case Requeue(number=number, tail=Tail() as tail) | Finish(number=number, tail=Tail() as tail):
                self._keep_tail(tail, sight, number)
        return self._write_of(action, sight)

    def _write_of(self, action: Action, sight: Sight) -> Write | None:
        request = sight.request
        match action:
            case Submit(number):
                return lambda session: jobs.submit(session, request.id, number)
            case Requeue() as again:
                return lambda session: jobs.requeue(
                    session, request.id, again.number, counted=again.counted, code=again.code, message=again.message,
                    next_try_at=again.next_try_at,
                )  # fmt: skip
            case Finish() as end:
                return lambda session: jobs.finish(session, request.id, end.number, end.state, end.code, end.message)
            case MarkCleaned(attempt):
                return lambda session: jobs.cleaned(session, attempt)
            case Wait(reason) if not request.final and reason != request.waiting_reason:
                return lambda session: requests.set_waiting(session, request.id, request.attempt, reason)
            case _:
                return None

    def _forget(self, request: UUID) -> None:
        """The request was deleted, with all that was known of its Jobs."""
        for raw in self._cluster.jobs(request):
            self._cluster.delete(raw["metadata"]["name"])

    def _create(self, sight: Sight) -> Write | None:
        """Creates the Job; a crash before that is noted is healed by the name, which is taken then."""
        attempt, row = sight.attempt_row, sight.row
        if attempt is None:
            return None
        try:
            job = manifest.build(manifest.Plan.of(row, attempt), self._settings, self._worker)
        except ManifestError as error:
            return self._write_of(Finish(attempt.number, models.State.FAILED, error.code, error.message), sight)
        try:
            uid = self._cluster.create(job, self._secret(attempt))
        except JobExistsError:
            return self._adopt(sight, attempt)
        if attempt.number == 1:
            self._metrics.start.observe((datetime.now(UTC) - row.created_at).total_seconds())
        return lambda session: jobs.acknowledge(session, attempt.id, uid)

    def _acknowledge(self, sight: Sight, job_uid: str) -> Write | None:
        """A Job of ours whose creation was cut short by a crash may lack its Secret."""
        attempt = sight.attempt_row
        if attempt is None:
            return None
        self._cluster.entrust(attempt.job_name, job_uid, self._secret(attempt))
        return lambda session: jobs.acknowledge(session, attempt.id, job_uid)

    def _secret(self, attempt: models.Attempt) -> dict[str, str]:
        return {TOKEN_KEY: tokens.sign(attempt.id, self._settings.token_keys[0])}

    def _adopt(self, sight: Sight, attempt: models.Attempt) -> Write | None:
        """The name is taken: by our own earlier try, or by a stranger, whom the next attempt's name avoids."""
        raw = self._cluster.get(attempt.job_name)
        if raw is None:
            return None
        job = observed.Job.parse(raw)
        if observed.request_of(raw) == sight.request.id and job.attempt_id == str(attempt.id):
            return self._acknowledge(sight, job.uid)
        log.error("a Job that is not ours has the name", extra={"request": str(sight.request.id), "job": attempt.job_name})
        stranger = f"a Job named {attempt.job_name} that is not ours stood in the way"
        return self._write_of(Requeue(attempt.number, False, "job_foreign", stranger, None), sight)

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
            try:
                self._objects.put(key, body.encode(), "application/x-ndjson")
            except S3Error as error:  # one that is away is waited for; one that refuses must not hold up the outcome
                log.error("the last lines were not kept: %s", first_line(error), extra={"request": str(sight.request.id)})


def _needs_call(action: Action, sight: Sight) -> bool:
    match action:
        case CreateJob() | Acknowledge() | DeleteJob() | Requeue(tail=Tail()) | Finish(tail=Tail()):
            return True
        case _:
            return bool(sight.strays)


def _line(text: str, context: dict[str, object]) -> dict[str, object]:
    """A line of ours as it is, any other wrapped."""
    try:
        found = json.loads(text)
    except ValueError:
        found = None
    if isinstance(found, dict):
        return {**context, **found}
    return {"time": datetime.now(UTC).isoformat(), "level": "error", "message": text, **context}
