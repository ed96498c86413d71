"""A model of database and cluster, driven at random through `decide`: what must hold whatever happens in whichever order."""

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule

from controller.actions import Acknowledge, Action, CreateJob, DeleteJob, Done, Finish, MarkCleaned, Requeue, Submit, Wait
from controller.decide import Limits, decide
from controller.observed import Attempt, Condition, Container, Job, Pod, Request, Terminated, Waiting
from store import ids
from store.models import ACTIVE, FINAL, State

MAX_ACTIVE = 2
LIMITS = Limits(tries=2, disruptions=1)
GRACE = timedelta(seconds=120)
MOST_STEPS = 60
ENDS = st.sampled_from([0, 1, 64, 75, 137, 143])
REASONS = st.sampled_from(["", "Evicted", "DeadlineExceeded"])


@dataclass
class One:
    """A request with its attempts, and the Jobs and pods that run for it."""

    request: Request
    background: bool
    """Whether a deleted Job goes before its pods, as on Kubernetes, or after them, as on LocalCluster."""
    attempts: list[Attempt] = field(default_factory=list)
    jobs: dict[str, Job] = field(default_factory=dict)
    pods: dict[str, Pod] = field(default_factory=dict)
    history: list[tuple[State, int]] = field(default_factory=list)
    dead: set[str] = field(default_factory=set)
    """Pods on a node that is gone: they neither end nor go."""
    results: int = 0


class World(RuleBasedStateMachine):
    """Rules are what may happen; `look` is the controller, which may crash between any two of its actions."""

    requests = Bundle("requests")

    def __init__(self) -> None:
        super().__init__()
        self.now = datetime(2026, 1, 1, tzinfo=UTC)
        self.all: list[One] = []

    @rule(target=requests, background=st.booleans())
    def submit(self, background: bool) -> One:
        one = One(Request(ids.new(), State.QUEUED), background)
        self.all.append(one)
        return one

    @rule(one=requests)
    def cancel(self, one: One) -> None:
        if one.request.state == State.QUEUED:
            self._put(one, state=State.CANCELLED, cancel_requested_at=self.now)
        elif not one.request.final:
            self._put(one, cancel_requested_at=self.now)

    @rule(seconds=st.sampled_from([1, 15, 300, 4000, 90_000]))
    def time_passes(self, seconds: int) -> None:
        self.now += timedelta(seconds=seconds)
        for one in self.all:  # a living node kills what outlives its grace
            for name, pod in list(one.pods.items()):
                if pod.deleted_at is not None and pod.deleted_at <= self.now and pod.name not in one.dead:
                    one.pods[name] = replace(pod, phase="Failed")
                    self._gone(one, name)

    @rule(one=requests, crash_after=st.integers(0, 6))
    def look(self, one: One, crash_after: int) -> None:
        for _ in range(crash_after):
            if isinstance(self._decided(one), Wait | Done):
                return

    @rule(claims=st.booleans())
    def all_goes_on(self, claims: bool) -> None:
        """What usually happens between two mishaps."""
        for one in self.all:
            self.look(one, 10)
            self.pod_starts(one, claims)

    @rule(one=requests, claims=st.booleans())
    def pod_starts(self, one: One, claims: bool) -> None:
        for name, job in one.jobs.items():
            pod = Pod(f"{name}-p", "Running", self.now, containers=(Container("step", running=True),))
            if not job.finished and not job.deleting and name not in one.pods:
                one.pods[name] = pod
                if claims and (attempt := self._current(one)) and attempt.job_name == name:
                    self._claim(one, attempt)

    @rule(one=requests, why=st.sampled_from(["ErrImagePull", "CreateContainerConfigError"]))
    def pod_hangs(self, one: One, why: str) -> None:
        for name, job in one.jobs.items():
            if not job.finished and name not in one.pods:
                one.pods[name] = Pod(f"{name}-p", "Pending", self.now, containers=(Container("step", Waiting(why)),))

    @rule(one=requests)
    def worker_publishes(self, one: One) -> None:
        """The API's guarded commit: by the current attempt's owning run, while the request is not final."""
        attempt = self._current(one)
        if attempt and attempt.run and one.request.state in ACTIVE:
            one.results += 1
            self._put(one, state=State.SUCCEEDED, finished_at=self.now)

    @rule(one=requests, code=ENDS, reason=REASONS)
    def pod_ends(self, one: One, code: int, reason: str) -> None:
        for name, pod in list(one.pods.items()):
            if not pod.ended and pod.name not in one.dead:
                end = Container("step", terminated=Terminated(code, finished_at=self.now))
                good = code == 0 and not reason
                one.pods[name] = replace(pod, phase="Succeeded" if good else "Failed", reason=reason, containers=(end,))
                if name in one.jobs and not one.jobs[name].finished:
                    kind = "Complete" if good else "Failed"
                    one.jobs[name] = replace(one.jobs[name], conditions=(Condition(kind, True, since=self.now),))
            self._gone(one, name)

    @rule(one=requests)
    def somebody_deletes_the_job(self, one: One) -> None:
        for name in list(one.jobs):
            self._delete(one, name)

    @rule(one=requests)
    def node_dies(self, one: One) -> None:
        """Its pods are told to go (by the taint manager), but never end and never go."""
        for name, pod in one.pods.items():
            one.dead.add(pod.name)
            one.pods[name] = replace(pod, deleted_at=pod.deleted_at or self.now + GRACE)

    @rule()
    def local_cluster_restarts(self) -> None:
        for one in self.all:
            one.jobs.clear()
            one.pods.clear()

    @invariant()
    def final_states_never_change_and_attempts_only_rise(self) -> None:
        for one in self.all:
            states = [state for state, _ in one.history]
            assert all(state not in FINAL for state in states[:-1])
            assert [number for _, number in one.history] == sorted(number for _, number in one.history)
            assert one.results <= 1

    @invariant()
    def one_attempt_is_on_the_cluster_at_a_time(self) -> None:
        for one in self.all:
            assert len(one.jobs) <= 1
            assert sum(not pod.ended and pod.name not in one.dead for pod in one.pods.values()) <= 1

    @invariant()
    def every_request_has_a_next_action_or_says_why_it_waits(self) -> None:
        for one in self.all:
            action = self._decide(one)
            if isinstance(action, Done):
                assert one.request.final
            if isinstance(action, Wait) and not one.request.final and action.reason is None:
                assert one.jobs if one.request.state in ACTIVE else not self._admitted(one), "it waits for nothing"

    @invariant()
    def no_more_are_active_than_allowed(self) -> None:
        assert sum(one.request.state in ACTIVE for one in self.all) <= MAX_ACTIVE

    def teardown(self) -> None:
        """Left alone with pods that end, everything becomes final, and nothing is left on the cluster."""
        for _ in range(MOST_STEPS):
            for one in self.all:
                self.pod_starts(one, claims=True)
                self.worker_publishes(one)
                self.pod_ends(one, 0, "")
                self.look(one, 10)
            self.now += timedelta(seconds=400)
        for one in self.all:
            assert one.request.final
            assert isinstance(self._decide(one), Done)
            assert not one.jobs

    def _decide(self, one: One) -> Action:
        attempt = next((a for a in one.attempts if not a.cleaned), one.attempts[-1] if one.attempts else None)
        job = one.jobs.get(attempt.job_name) if attempt else None
        pods = [pod for name, pod in one.pods.items() if attempt and name == attempt.job_name]
        return decide(one.request, attempt, job, pods, self.now, LIMITS, self._admitted(one))

    def _admitted(self, one: One) -> bool:
        active = sum(other.request.state in ACTIVE for other in self.all)
        due = [
            other for other in self.all
            if other.request.state == State.QUEUED and (other.request.next_try_at or self.now) <= self.now
        ]  # fmt: skip
        return one in due and active + due.index(one) + 1 <= MAX_ACTIVE

    def _decided(self, one: One) -> Action:
        """Carries it out as the shell does."""
        action = self._decide(one)
        match action:
            case Submit(number):
                one.attempts.append(Attempt(ids.new(), number, f"job-{number}"))
                self._put(one, state=State.SUBMITTED, attempt=number, next_try_at=None)
            case CreateJob():
                name = one.attempts[-1].job_name
                one.jobs[name] = Job(name, f"uid-{name}", self.now)
            case Acknowledge(attempt, uid):
                self._attempt(one, attempt, job_uid=uid)
            case Requeue(_, counted, _, message, when):
                counts = {"tries": one.request.tries + counted, "disruptions": one.request.disruptions + (not counted)}
                self._put(one, state=State.QUEUED, next_try_at=when, waiting_reason=message, **counts)
            case Finish(_, state):
                self._put(one, state=state)
            case DeleteJob(name):
                self._delete(one, name)
            case MarkCleaned(attempt):
                self._attempt(one, attempt, cleaned=True)
        return action

    def _put(self, one: One, **changes: object) -> None:
        one.request = replace(one.request, **changes)
        one.history.append((one.request.state, one.request.attempt))
        assert one.request.tries <= LIMITS.tries
        assert one.request.disruptions <= LIMITS.disruptions

    def _attempt(self, one: One, attempt_id: object, **changes: object) -> None:
        one.attempts = [replace(a, **changes) if a.id == attempt_id else a for a in one.attempts]

    def _claim(self, one: One, attempt: Attempt) -> None:
        self._attempt(one, attempt.id, run=attempt.run or "run")
        if one.request.state == State.SUBMITTED:
            self._put(one, state=State.RUNNING)

    def _current(self, one: One) -> Attempt | None:
        return one.attempts[-1] if one.attempts and one.attempts[-1].number == one.request.attempt else None

    def _delete(self, one: One, name: str) -> None:
        if name in one.pods:
            one.pods[name] = replace(one.pods[name], deleted_at=one.pods[name].deleted_at or self.now + GRACE)
        if name in one.jobs:
            one.jobs[name] = replace(one.jobs[name], deleted_at=one.jobs[name].deleted_at or self.now)
        self._gone(one, name)

    def _gone(self, one: One, name: str) -> None:
        """What was deleted goes once its pod has ended."""
        pod, job = one.pods.get(name), one.jobs.get(name)
        if pod is not None and pod.deleted_at is not None and (pod.ended or pod.phase == "Pending") and pod.name not in one.dead:
            pod = one.pods.pop(name) and None
        if job is not None and job.deleting and (pod is None or one.background or pod.name in one.dead):
            del one.jobs[name]


TestWorld = World.TestCase
TestWorld.settings = settings(
    max_examples=300, stateful_step_count=30, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
