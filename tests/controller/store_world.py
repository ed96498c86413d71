"""What happens around the controller: people, workers and a cluster, on the real store. Part of a model test."""

from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from uuid import UUID

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule
from kube_model import Kube, Worker, ended
from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from controller.observed import request_of
from store import attempts, avatars, requests
from store.database import Database
from store.errors import AvatarInUseError, AvatarNotFoundError, StoreError
from store.models import ACTIVE, Attempt, Avatar, Json, Kind, Request

BEGAN = datetime(2026, 1, 1, tzinfo=UTC)
CONSENT = {"statement": "I agree", "by": "Ann"}
OWNERS, GPUS, AVATARS = st.sampled_from(["ann", "bob"]), st.sampled_from([None, "a100"]), st.sampled_from(["one", "two"])
WHICH = st.integers(0, 5)
ENDS = st.sampled_from([(0, ""), (1, "Error"), (64, "Error"), (75, "Error"), (137, "OOMKilled"), (137, "Evicted"), (143, "")])


class Surroundings(RuleBasedStateMachine):
    """Rules are what may happen at any time, whatever the controller does."""

    def __init__(self, store: Database, clock: SimpleNamespace) -> None:
        super().__init__()
        self.store, self.clock = store, clock
        clock.time = BEGAN
        with store.begin() as session:
            session.execute(delete(Request))
            session.execute(delete(Avatar))
        self.kube = Kube(clock.now)
        self.asked: list[UUID] = []
        self.results: Counter[UUID] = Counter()

    @rule(owner=OWNERS, gpu=GPUS, avatar=AVATARS)
    def submit(self, owner: str, gpu: str | None, avatar: str) -> None:
        video = {"name": "inputs/video", "sha256": "ab" * 32, "size": 1}
        spec = {"steps": ["train"], "inputs": [video]} | ({"gpu": gpu} if gpu else {})
        with self.store.begin() as session:
            avatars.ensure(session, owner, avatar, None, CONSENT)
            row = requests.create(session, owner=owner, kind=Kind.TRAINING, spec=spec, uses=[], avatar=avatar)
        self.asked.append(row.id)

    @precondition(lambda self: self.asked)
    @rule(which=WHICH)
    def cancel(self, which: int) -> None:
        self._cancel(self._one(which))

    @rule(owner=OWNERS, avatar=AVATARS)
    def a_face_is_deleted(self, owner: str, avatar: str) -> None:
        try:
            with self.store.begin() as session:
                avatars.remove(session, owner, avatar)
        except (AvatarInUseError, AvatarNotFoundError):
            return
        self.asked = [row.id for row in self._read()[0]]

    @rule()
    def cluster_goes_on(self) -> None:
        self.kube.go_on()

    @rule(seconds=st.sampled_from([1, 15, 300, 4000, 90_000]))
    def time_passes(self, seconds: int) -> None:
        self.clock.time += timedelta(seconds=seconds)

    @precondition(lambda self: self.kube.workers)
    @rule(which=st.integers(0, 9), act=st.sampled_from(["claim", "report", "checkpoint", "result", "result"]))
    def worker_acts(self, which: int, act: str) -> None:
        """Any that ever ran: of an old attempt, a twin, on a node that is gone."""
        self._work(self.kube.workers[which % len(self.kube.workers)], act)

    @precondition(lambda self: self.kube.pods)
    @rule(which=WHICH, end=ENDS)
    def pod_ends(self, which: int, end: tuple[int, str]) -> None:
        self.kube.end_pod(self._any(self.kube.pods, which), *end)

    @precondition(lambda self: self.kube.pods)
    @rule(which=WHICH, gone_for_good=st.booleans())
    def node_dies(self, which: int, gone_for_good: bool) -> None:
        self.kube.lose_node(self._any(self.kube.pods, which))
        if gone_for_good:
            self.kube.bury()

    @precondition(lambda self: self.kube.jobs)
    @rule(which=WHICH, foreground=st.booleans())
    def job_is_deleted(self, which: int, foreground: bool) -> None:
        """By a person, or by its TTL."""
        self.kube.delete_job(self._any(self.kube.jobs, which), foreground=foreground)

    @precondition(lambda self: self.kube.jobs)
    @rule(which=WHICH, suspended=st.booleans())
    def job_is_suspended_or_resumed(self, which: int, suspended: bool) -> None:
        self.kube.suspend(self._any(self.kube.jobs, which), suspended)

    @precondition(lambda self: self.kube.jobs)
    @rule(which=WHICH)
    def twin_starts(self, which: int) -> None:
        name = self._any(self.kube.jobs, which)
        if not ended(self.kube.jobs[name]):
            self.kube.start_pod(name)

    def _cancel(self, one: UUID | None) -> None:
        with self.store.begin() as session:
            row = session.get(Request, one) if one else None
            if row is not None:
                requests.cancel(session, row.id, row.owner)

    def _vanish(self, one: UUID | None) -> None:
        for name in [name for name, raw in self.kube.jobs.items() if request_of(raw) == one]:
            self.kube.delete_job(name)

    def _works(self, one: UUID | None, act: str) -> None:
        for worker in self.kube.workers:
            if one is not None and one.hex in worker.pod:
                self._work(worker, act)

    def _work(self, worker: Worker, act: str) -> None:
        """Goes through if the run may own the attempt, and the attempt is the current one of a request that is not final."""
        name = f"{worker.run}-{self.kube.made}"
        calls: dict[str, Callable[[Session], object]] = {
            "claim": lambda session: attempts.claim(session, worker.attempt, worker.run, "train", None),
            "report": lambda session: attempts.report(session, worker.attempt, worker.run, "train", "epochs", 0.5, None),
            "checkpoint": lambda session: attempts.publish_checkpoint(session, worker.attempt, worker.run, name, 1, []),
            "result": lambda session: attempts.publish_result(session, worker.attempt, worker.run, [], result)[1],
        }

        def result(_row: Request, _attempt: Attempt) -> Json:
            return {"outputs": {}, "by": worker.run}

        entitled = False
        try:
            with self.store.begin() as session:
                one = session.get(Attempt, worker.attempt)
                row = session.get(Request, one.request_id) if one else None
                if one and row and one.number == row.attempt and not one.ended_at and row.state in ACTIVE:
                    entitled = one.run == worker.run or (one.run is None and act == "claim")
                done = calls[act](session)
        except StoreError:
            assert not entitled
            return
        assert entitled or (act == "result" and done is False)
        if act == "result" and done and row:
            self.results[row.id] += 1

    def _running(self) -> list[Worker]:
        return [one for one in self.kube.workers if one.pod in self.kube.pods and not ended(self.kube.pods[one.pod])]

    def _one(self, which: int) -> UUID:
        return self.asked[which % len(self.asked)]

    @staticmethod
    def _any(found: dict[str, object], which: int) -> str:
        return list(found)[which % len(found)]

    def _read(self) -> tuple[list[Request], list[Attempt]]:
        with self.store.begin() as session:
            return list(session.scalars(select(Request).order_by(Request.id))), list(session.scalars(select(Attempt)))
