"""What to do next about one request: a pure function of what is stored and what is seen.

Level-triggered: it never asks what happened, only how things stand. The outcome goes to the database first, then the Job is
deleted; an attempt ends for good once nothing of it is left on the cluster, and only then does the next one start.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from controller import verdict
from controller.actions import Acknowledge, Action, CreateJob, DeleteJob, Done, Finish, MarkCleaned, Requeue, Submit, Wait
from controller.observed import Attempt, Condition, Container, Job, Pod, Request
from controller.verdict import Broken, Disrupted, Exhausted, InputFault, Verdict
from store.models import State

STOPPING = "stopping"
LOST = Disrupted("job_lost", "the Job was gone from the cluster")
NODE_LOST = Disrupted("node_lost", "the node that ran the pod no longer answers")
OWNER_LOST = Disrupted("pod_lost", "the pod that had claimed the attempt is gone; the Job's other pod may not go on with it")
STRAY = Disrupted("attempt_lost", "the request's attempt is not in the database")


@dataclass(frozen=True)
class Limits:
    """How often, how long, how many. Times are timedeltas."""

    tries: int = 3
    """Tries that count (exit 75, crashes), the first included."""
    disruptions: int = 20
    """Attempts that may be lost without counting."""
    backoff: timedelta = timedelta(seconds=10)
    backoff_longest: timedelta = timedelta(minutes=5)
    pending: timedelta = timedelta(minutes=30)
    """How long a scheduled pod may stand without starting (image, volume, configuration)."""
    unschedulable: timedelta = timedelta(hours=24)
    """How long a pod may wait for a node: busy GPUs are no fault."""
    result_grace: timedelta = timedelta(seconds=5)
    """From a Job's good end to the verdict that it published nothing."""
    farewell: timedelta = timedelta(seconds=60)
    """How long a worker whose result is published may take to end."""
    settling: timedelta = timedelta(seconds=3)
    """How long a new Job may be without a pod before anybody is told why: most have one by then."""
    look_again: timedelta = timedelta(seconds=10)
    """When to ask again why a Job that has no pod has none; no event tells. Rarer with the Job's age."""
    lost_pod: timedelta = timedelta(seconds=60)
    """How long a pod may outlive the end of its grace before its node counts as lost."""

    def pause(self, tries: int) -> timedelta:
        """Before the next try, after `tries` earlier ones: doubling."""
        return min(self.backoff * (1 << min(tries, 20)), self.backoff_longest)

    def pause_disrupted(self, disruptions: int) -> timedelta | None:
        """None the first time, then a tenth of the back-off, doubling up to a fifth of the longest."""
        if disruptions == 0:
            return None
        return min(self.backoff * (1 << min(disruptions - 1, 20)) / 10, self.backoff_longest / 5)


def decide(
    request: Request, attempt: Attempt | None, job: Job | None, pods: Sequence[Pod], now: datetime, limits: Limits, admitted: bool
) -> Action:
    """The next action for `request`.

    attempt: the oldest one whose Job may still be there, else the last; job, pods: that attempt's, as the cluster shows them;
    admitted: whether there is room for a queued request.
    """
    match attempt:
        case Attempt(cleaned=False) if request.final or request.state == State.QUEUED or attempt.number < request.attempt:
            return _clean(request, attempt, job, pods, now, limits)
        case _ if request.final:
            return Done()
        case _ if request.state == State.QUEUED:
            return _queued(request, now, admitted)
        case Attempt(cleaned=False) if request.cancel_requested_at is not None:
            return _remove(attempt, job, pods, now, limits) or Finish(attempt.number, State.CANCELLED)
        case Attempt(cleaned=False):
            return _follow(request, attempt, job, pods, now, limits)
        case _:
            return _conclude(request, STRAY, now, limits)


def _queued(request: Request, now: datetime, admitted: bool) -> Action:
    if request.next_try_at is not None and now < request.next_try_at:
        return Wait(request.waiting_reason or "waiting for the next try", request.next_try_at)
    return Submit(request.attempt + 1) if admitted else Wait()


def _clean(request: Request, attempt: Attempt, job: Job | None, pods: Sequence[Pod], now: datetime, limits: Limits) -> Action:
    """The attempt is over in the database: take what is left of it from the cluster."""
    reason = None if request.final else request.waiting_reason
    if request.state == State.SUCCEEDED and request.finished_at is not None and job is not None and not job.finished:
        leave = request.finished_at + limits.farewell
        if not job.deleting and now < leave:
            return Wait(reason, leave)
    match _remove(attempt, job, pods, now, limits, finished=True):
        case Wait(until=until):
            return Wait(reason or (None if request.final else STOPPING), until)
        case DeleteJob() as delete:
            return delete
        case None:
            return MarkCleaned(attempt.id)


def _remove(
    attempt: Attempt, job: Job | None, pods: Sequence[Pod], now: datetime, limits: Limits, finished: bool = False
) -> DeleteJob | Wait | None:
    """Towards a cluster that runs nothing of the attempt; None: so it is. `finished`: nor keeps what has ended."""
    if job is not None and job.finished and not finished:
        return None
    if job is not None and not job.deleting:
        return DeleteJob(job.name)
    if job is None and any(pod.deleted_at is None and not pod.ended for pod in pods):
        return DeleteJob(attempt.job_name)
    return _gone(job, pods, now, limits, STOPPING)


def _gone(job: Job | None, pods: Sequence[Pod], now: datetime, limits: Limits, why: str) -> Wait | None:
    """What is told to go goes, but from a node that is dead: after a while it is taken for gone, which None says."""
    living = [pod for pod in pods if not pod.ended]
    if any(pod.deleted_at is None for pod in living):
        return Wait(why)
    told = [one.deleted_at for one in (job, *living) if one is not None and one.deleted_at is not None]
    until = max(told) + limits.lost_pod if told else now
    return Wait(why, until) if now < until else None


def _follow(request: Request, attempt: Attempt, job: Job | None, pods: Sequence[Pod], now: datetime, limits: Limits) -> Action:
    lost = job is None or attempt.job_uid not in (None, job.uid)
    match job:
        case None if not attempt.acknowledged:
            return CreateJob(attempt.id)
        case Job(uid=uid) if attempt.job_uid is None:
            return Acknowledge(attempt.id, uid)
        case Job(suspended=True) if not lost and attempt.run is not None:
            return _conclude(request, Disrupted("evicted", _evicted(job)), now, limits)
        case Job(finished=False) if not lost and _owner_gone(attempt, pods):
            return _conclude(request, OWNER_LOST, now, limits)
        case Job() if not lost:
            return _under_way(request, job, pods, now, limits)
        case _:
            return _conclude(request, LOST, now, limits)


def _owner_gone(attempt: Attempt, pods: Sequence[Pod]) -> bool:
    """Kubernetes may start a pod twice, and then remove the one that has claimed the attempt."""
    return attempt.run is not None and bool(pods) and all(pod.uid != attempt.run for pod in pods)


def _under_way(request: Request, job: Job, pods: Sequence[Pod], now: datetime, limits: Limits) -> Action:
    match job:
        case Job(failed=Condition()):
            return _conclude(request, verdict.of(job, pods), now, limits)
        case Job(completed=Condition(since=since)):
            publishing = (since or job.created_at) + limits.result_grace
            return Wait(None, publishing) if now < publishing else _conclude(request, verdict.of(job, pods), now, limits)
        case Job(deleting=True):
            return _gone(job, pods, now, limits, "the Job is being deleted") or _conclude(request, NODE_LOST, now, limits)
        case _:
            return _watch(request, job, pods, now, limits)


def _watch(request: Request, job: Job, pods: Sequence[Pod], now: datetime, limits: Limits) -> Action:
    """The Job is under way, or waits for something."""
    if job.suspended:
        return Wait(job.trouble or "waiting for admission to the cluster's queue")
    living = [pod for pod in pods if not pod.ended]
    for pod in living:
        if pod.deleted_at is not None and now >= pod.deleted_at + limits.lost_pod:
            return _conclude(request, NODE_LOST, now, limits)
    if not pods and now < job.created_at + limits.settling:
        return Wait(None, job.created_at + limits.settling)
    if not pods:
        why = f"the cluster has made no pod yet: {job.trouble}" if job.trouble else "the cluster has made no pod yet"
        again = max(limits.look_again, (now - job.created_at) / 2)
        return _stand(why, job.created_at, limits.unschedulable, request, now, again)
    if not living or any(container.running for pod in living for container in pod.containers):
        return Wait()
    return _waiting(living[0], request, now, limits)


def _waiting(pod: Pod, request: Request, now: datetime, limits: Limits) -> Action:
    """Why a pod's next container does not run, and for how long that is borne."""
    scheduled = pod.condition("PodScheduled")
    if scheduled is not None and not scheduled.status:
        if scheduled.reason == "SchedulingGated":
            return Wait(scheduled.message or "waiting for admission")
        why = f"no node can take it yet ({scheduled.reason}): {scheduled.message}"
        return _stand(why, pod.created_at, limits.unschedulable, request, now)
    ends = [one.terminated.finished_at for one in pod.containers if one.terminated and one.terminated.finished_at]
    began = max([pod.created_at, *ends, *([scheduled.since] if scheduled and scheduled.since else [])])
    following = next((one for one in pod.containers if one.terminated is None), None)
    return _stand(_why(following), began, limits.pending, request, now)


def _why(container: Container | None) -> str:
    waiting = container.waiting if container is not None else None
    if container is None or waiting is None or waiting.reason in ("", "ContainerCreating", "PodInitializing"):
        return "the pod is starting"
    what = "the image of step {} cannot be fetched" if "Image" in waiting.reason else "step {} cannot be started"
    return f"{what.format(container.name)} ({waiting.reason}): {waiting.message}".removesuffix(": ")


def _evicted(job: Job) -> str:
    return f"the cluster's queue took the Job back: {job.trouble}" if job.trouble else "the cluster's queue took the Job back"


def _stand(
    why: str, since: datetime, limit: timedelta, request: Request, now: datetime, again: timedelta | None = None
) -> Action:
    """Waits with the reason, and no longer than the limit. `again`: no event tells when the reason changes, so look then."""
    if now < since + limit:
        return Wait(why, since + limit if again is None else min(since + limit, now + again))
    return Finish(request.attempt, State.FAILED, "pending_timeout", f"it could not start within {limit}: {why}")


def _conclude(request: Request, found: Verdict, now: datetime, limits: Limits) -> Action:
    """From a verdict to the attempt's end: final, or another try."""
    match found:
        case InputFault(code, message):
            return Finish(request.attempt, State.FAILED, code, message)
        case Exhausted(code, message, tail):
            return Finish(request.attempt, State.FAILED, code, message, tail)
        case Disrupted(code, message) if request.disruptions >= limits.disruptions:
            lost = f"lost {request.disruptions + 1} times, the last time because {message}"
            return Finish(request.attempt, State.FAILED, "infrastructure_lost", lost)
        case Disrupted(code, message):
            pause = limits.pause_disrupted(request.disruptions)
            return Requeue(request.attempt, False, code, message, None if pause is None else now + pause)
        case Broken(code, message, tail) if request.tries + 1 >= limits.tries:
            return Finish(request.attempt, State.FAILED, code, message, tail)
        case Broken(code, message, tail):
            return Requeue(request.attempt, True, code, message, now + limits.pause(request.tries), tail)
