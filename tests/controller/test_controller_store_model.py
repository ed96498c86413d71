"""Shell, store and a model of Kubernetes, driven at random: what must hold whatever happens in whichever order.

The controller may end, or anything else happen, between any two of its side effects; an old leader may wake up and act on an old
list. Any request may be looked at at any time: hints that are lost, repeated or late are nothing else.
"""

from collections import Counter
from collections.abc import Callable, Collection
from datetime import UTC, timedelta
from functools import partial
from types import SimpleNamespace
from uuid import UUID

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, precondition, rule, run_state_machine_as_test
from kube_model import Crash, Gate, GatedDatabase, View, going
from sqlalchemy import select, text
from store_world import BEGAN, WHICH, Surroundings

from controller import shell, sight
from controller.actions import DeleteJob, Done, Wait
from controller.errors import ClusterError
from controller.metrics import Metrics
from controller.observed import ATTEMPT_ID, request_of
from controller.settings import Settings
from controller.shell import Shell
from store import attempts, ids, jobs, requests
from store.database import Database
from store.models import ACTIVE, FINAL, Attempt, Event, Request, State

ALL, EACH, GPU = 3, 2, 1
"""How many requests may be at work: in all, of one owner, of the GPU class."""
POINTS = st.sampled_from([
    ("created", 0), ("create", 0), ("given", 0), ("entrust", 0), ("delete", 0), ("deleted", 0), ("keep", 0),
    *((point, times) for point in ("begin", "committed") for times in (0, 2, 4)),
])  # fmt: skip
HAPPENINGS = st.sampled_from(["crash", "crash", "failure", "other", "cancel", "vanish", "claim", "result"])
MISHAPS = st.none() | st.tuples(POINTS, HAPPENINGS)
"""Between which side effects, or halves of them, what happens. `failure`: the call's; the controller itself goes on."""

Mishap = tuple[tuple[str, int], str] | None


class World(Surroundings):
    """What the controller does, and what must hold."""

    def __init__(self, store: Database, gated: GatedDatabase, clock: SimpleNamespace) -> None:
        super().__init__(store, clock)
        self.gated = gated
        self.settings = Settings(
            database_url="postgresql://", s3_endpoint="http://s3", s3_access_key="a", s3_secret_key="s", token_key="k" * 32,
            api_url="http://api", gpu_classes={"a100": {"max_active": GPU}}, max_active_jobs=ALL, max_active_jobs_per_owner=EACH,
            tries=2, disruptions=2,
        )  # fmt: skip
        self.gate = gated.gate = Gate()
        self.views = [View(self.kube, self.gate), View(self.kube, self.gate)]
        self.shells = [self._shell(gated, view) for view in self.views]
        self.witness = self._shell(store, View(self.kube, lambda _point: None))
        self.ends: dict[UUID, tuple[object, ...]] = {}
        self.one_leads = True

    @initialize(mishap=MISHAPS)
    def begin(self, mishap: Mishap) -> None:
        for owner, gpu in (("ann", None), ("bob", "a100")):
            self.submit(owner, gpu, "one")
        self.all_goes_on(mishap, 2)

    @precondition(lambda self: self.asked)
    @rule(which=WHICH, old_leader=st.sampled_from([False, False, True]), mishap=MISHAPS)
    def controller_looks(self, which: int, old_leader: bool, mishap: Mishap) -> None:
        one = self._one(which)
        self._controller(old_leader, mishap, one, lambda shell: shell.look([one]))

    @rule(old_leader=st.sampled_from([False, False, False, True]), mishap=MISHAPS)
    def controller_passes(self, old_leader: bool, mishap: Mishap) -> None:
        one = self.asked[-1] if self.asked else None
        self._controller(old_leader, mishap, one, lambda shell: self._full_pass(shell, self.views[old_leader]))

    @rule(mishap=MISHAPS, rounds=st.integers(1, 3))
    def all_goes_on(self, mishap: Mishap, rounds: int) -> None:
        """What usually happens between two mishaps."""
        for _ in range(rounds):
            self.controller_passes(False, mishap)
            self.cluster_goes_on()
            for worker in self._running():
                self._work(worker, "claim")

    @rule(old_leader=st.booleans(), lags=st.booleans())
    def list_gets_old(self, old_leader: bool, lags: bool) -> None:
        self.views[old_leader].lags = lags

    @invariant()
    def all_is_well(self) -> None:
        rows, tries = self._read()
        self._final_states_never_change(rows)
        self._jobs_have_rows(tries)
        full, owners, gpus = _at_work(rows)
        assert not self.one_leads or (full <= ALL and max(owners.values(), default=0) <= EACH and gpus <= GPU)
        seen_to = {request for request, _ in self.witness.survey(self.asked)}
        # While the cluster still deletes an earlier Job, its pod may hold the place that the next attempt was given.
        seen_to |= {request for job in self.kube.jobs.values() if going(job) and (request := request_of(job))}
        full, owners, gpus = _at_work(rows, seen_to)
        for row in rows:
            if row.id in seen_to or row.state in FINAL:
                continue
            if row.state == State.QUEUED:
                assert full >= ALL or owners[row.owner] >= EACH or ("gpu" in row.spec and gpus >= GPU), "there is room"
            else:
                assert row.waiting_reason or any(request_of(job) == row.id for job in self.kube.jobs.values())

    def _final_states_never_change(self, rows: list[Request]) -> None:
        for row in rows:
            end = (row.state, row.result, row.error_code, row.error_message, row.finished_at, row.attempt)
            assert self.ends.setdefault(row.id, end) == end if row.state in FINAL else row.id not in self.ends
            assert self.results[row.id] == (row.state == State.SUCCEEDED)

    def _jobs_have_rows(self, tries: list[Attempt]) -> None:
        known = {str(one.id): one for one in tries}
        for name, job in self.kube.jobs.items():
            one = known.get(job["metadata"]["annotations"][ATTEMPT_ID])
            assert request_of(job) not in self.asked or (one is not None and one.job_name == name)
            if one is not None and one.job_uid == job["metadata"]["uid"] and one.cleaned_at is None:
                assert self.kube.secrets.get(name) == one.job_uid, "its pod could never start"

    def teardown(self) -> None:
        """Left alone, with one controller that only passes, everything becomes final and nothing is left of it."""
        self.gate.event = None
        self.one_leads = False
        for view in self.views:
            view.lags = False
        leader = self._shell(self.gated, self.views[0])
        for _ in range(60):
            self._full_pass(leader, self.views[0])
            self.kube.bury()
            self.kube.go_on()
            self._workers_end_well()
            self.clock.time += timedelta(seconds=400)
            if not self._open():
                break
        assert not self._open()
        self._final_states_never_change(self._read()[0])
        self._history_is_right()

    def _open(self) -> list[object]:
        rows, tries = self._read()
        unfinished = [row for row in rows if row.state not in FINAL] + [one for one in tries if one.cleaned_at is None]
        return [*unfinished, *self.kube.jobs, *self.kube.pods, *self.kube.secrets]

    def _workers_end_well(self) -> None:
        for name in list(self.kube.jobs):
            self.kube.suspend(name, False)
        for worker in self._running():
            self._work(worker, "claim")
            self._work(worker, "result")
            self.kube.end_pod(worker.pod, 0)

    def _history_is_right(self) -> None:
        """By the events: numbers rise by one, and the end is the last thing that happens."""
        for request in self.asked:
            with self.store.begin() as session:
                events = list(session.scalars(select(Event).where(Event.subject == request).order_by(Event.id)))
            numbers = [event.data["attempt"] for event in events if event.type == "submitted"]
            assert numbers == list(range(1, len(numbers) + 1))
            assert [event.type in FINAL for event in events] == [False] * (len(events) - 1) + [True]
        with self.store.begin() as session:
            versions = session.execute(text("SELECT count(*), count(DISTINCT request_id) FROM avatar_versions")).one()
        assert versions[0] == versions[1] == sum(self.results[request] for request in self.asked)

    def _shell(self, database: Database, view: View) -> Shell:
        objects = SimpleNamespace(put=lambda *_: self.gate("keep"))
        return Shell(self.settings, database, objects, view, Metrics(), ["worker"])  # type: ignore[arg-type]

    def _controller(self, old_leader: bool, mishap: Mishap, one: UUID | None, act: Callable[[Shell], object]) -> None:
        self.one_leads = self.one_leads and not old_leader
        (point, times), what = mishap or (("", 0), "")
        happens: dict[str, Callable[[], None]] = {
            "crash": self._crash, "failure": self._fail, "other": partial(self._other_looks, not old_leader, one),
            "cancel": partial(self._cancel, one), "vanish": partial(self._vanish, one),
            "claim": partial(self._works, one, "claim"), "result": partial(self._works, one, "result"),
        }  # fmt: skip
        self.gate.point, self.gate.left, self.gate.event = point, times, happens.get(what)
        try:
            act(self.shells[old_leader])
        except (Crash, ClusterError):
            if what == "crash":
                self.views[old_leader] = View(self.kube, self.gate)
                self.shells[old_leader] = self._shell(self.gated, self.views[old_leader])
        finally:
            self.gate.event = None

    def _full_pass(self, shell: Shell, view: View) -> None:
        """As controller.app does it."""
        with self.gated.begin() as session:
            found = [*jobs.open_ids(session), *jobs.uncleaned(session)]
        found += [request for raw in view.jobs() if (request := request_of(raw))]
        due = [request for request, when in shell.survey(list(dict.fromkeys(found))) if when is None or when <= self.clock.time]
        due = list(dict.fromkeys([*due, *shell.called()]))
        for _ in range(20):
            outcomes = shell.look(due)
            due = [one for one, outcome in outcomes.items() if not isinstance(outcome, Wait | Done | DeleteJob | Exception)]

    def _crash(self) -> None:
        raise Crash

    def _fail(self) -> None:
        raise ClusterError

    def _other_looks(self, other: bool, one: UUID | None) -> None:
        self.one_leads = False
        if one is not None:
            self.shells[other].look([one])


def _at_work(rows: list[Request], called: Collection[UUID] = ()) -> tuple[int, Counter[str], int]:
    """With those that are about to be: in all, by owner, of the GPU class."""
    active = [row for row in rows if row.state in ACTIVE or row.id in called]
    return len(active), Counter(row.owner for row in active), sum("gpu" in row.spec for row in active)


def test_store_and_cluster_agree_whatever_happens(postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = SimpleNamespace(time=BEGAN)
    clock.now = lambda _zone=UTC: clock.time
    for module in (shell, jobs, attempts, requests):
        monkeypatch.setattr(module, "datetime", clock)
    numbers = iter(range(1 << 60))
    monkeypatch.setattr(ids, "time", SimpleNamespace(time_ns=lambda: 0))
    monkeypatch.setattr(ids, "secrets", SimpleNamespace(randbits=lambda _bits: next(numbers)))
    monkeypatch.setattr(sight, "REST", 0)  # how long the queue rests depends on the machine
    store, gated = Database(postgres_url), GatedDatabase(postgres_url)
    with store.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text(f"ALTER DATABASE {store.url.database} SET synchronous_commit = off"))
    store.engine.dispose()
    limits = settings(max_examples=30, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck))
    try:
        run_state_machine_as_test(partial(World, store, gated, clock), settings=limits)
    finally:
        store.close()
        gated.close()
