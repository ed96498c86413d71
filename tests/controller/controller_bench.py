"""A controller with its surroundings, and what a person and a worker would do to them."""

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

from local_jobs import until
from sqlalchemy import select

from controller.app import Controller
from controller.local_cluster import LocalCluster
from controller.settings import Settings
from store import attempts, queue, requests
from store.database import Database
from store.models import FINAL, Attempt, Event, Kind, Request
from store.objects import Objects

WORKER = """
import os, pathlib, signal, sys, time
here, step = pathlib.Path(sys.argv[1]), sys.argv[2]
attempt = os.environ["GENEFACE_ATTEMPT"]
(here / f"{attempt}.{step}").write_text(os.environ["GENEFACE_RUN"])
signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
while True:
    for order in (here / f"{attempt}.exit", here / f"{step}.exit"):
        if order.exists():
            code, _, words = order.read_text().partition(" ")
            pathlib.Path(os.environ["GENEFACE_TERMINATION_LOG"]).write_text(words)
            print(f"{step} ends with {code}")
            sys.exit(int(code))
    time.sleep(0.01)
"""
"""Says that it is there, and ends as a file tells it to."""


class Bench:
    """A controller that can be killed and started again, and what a person and a worker would do."""

    def __init__(self, folder: Path, database: Database, objects: Objects, connections: dict[str, Any]) -> None:
        self.folder = folder
        self.database = database
        self.objects = objects
        self.connections = connections
        self.cluster = LocalCluster(folder / "cluster", slots=2)
        self.controller: Controller | None = None

    @contextmanager
    def running(self, **values: Any) -> Iterator[None]:
        """The controller, while the block runs."""
        shortened = {"backoff_seconds": 0.05, "result_grace_seconds": 0.2, "full_pass_seconds": 30.0, "grace_seconds": 5}
        settings = Settings(**(self.connections | shortened | values))
        stop, failure = threading.Event(), []
        worker = [sys.executable, "-c", WORKER, str(self.folder)]
        self.controller = Controller(settings, self.database, self.objects, self.cluster, worker)

        def run() -> None:
            try:
                self.controller.run(stop)
            except BaseException as error:
                failure.append(error)

        thread = threading.Thread(target=run)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join(20)
            assert not thread.is_alive()
            assert not failure

    def ask(self, steps: tuple[str, ...] = ("render",), **spec: Any) -> UUID:
        with self.database.begin() as session:
            spec = {"steps": list(steps), "inputs": [], **spec}
            return requests.create(session, owner="local", kind=Kind.RENDERING, spec=spec, uses=[]).id

    def cancel(self, request: UUID) -> None:
        with self.database.begin() as session:
            requests.cancel(session, request, "local")

    def row(self, request: UUID) -> Request:
        with self.database.begin() as session:
            return session.scalars(select(Request).where(Request.id == request)).one()

    def attempts(self, request: UUID) -> list[Attempt]:
        with self.database.begin() as session:
            return attempts.of_request(session, self.row(request))

    def events(self, request: UUID) -> list[str]:
        with self.database.begin() as session:
            return list(session.scalars(select(Event.type).where(Event.subject == request).order_by(Event.id)))

    def started(self, request: UUID, number: int = 1, step: str = "render") -> Attempt:
        """Waits until the attempt's worker runs."""

        def look() -> Attempt | None:
            found = next((one for one in self.attempts(request) if one.number == number), None)
            return found if found and (self.folder / f"{found.id}.{step}").exists() else None

        return until(look)

    def end(self, attempt: Attempt, code: int, words: str = "") -> None:
        self._order(self.folder / f"{attempt.id}.exit", code, words)

    def end_step(self, step: str, code: int, words: str = "") -> None:
        self._order(self.folder / f"{step}.exit", code, words)

    def claim(self, attempt: Attempt) -> str:
        run = until((self.folder / f"{attempt.id}.render").read_text)
        with self.database.begin() as session:
            attempts.claim(session, attempt.id, run, "render", None)
        return run

    def publish(self, attempt: Attempt) -> None:
        run = self.claim(attempt)
        with self.database.begin() as session:
            attempts.publish_result(session, attempt.id, run, [], lambda *_: {"outputs": {}})

    def final(self, request: UUID, seconds: float = 10.0) -> Request:
        """Waits until the request is final and nothing of it is left on the cluster."""

        def look() -> Request | None:
            row = self.row(request)
            clean = row.state in FINAL and not self.cluster.jobs(request)
            return row if clean and all(one.cleaned_at for one in self.attempts(request)) else None

        return until(look, seconds)

    def reason(self, request: UUID) -> str:
        return self.row(request).waiting_reason or ""

    def place(self, request: UUID) -> int | None:
        with self.database.begin() as session:
            return queue.places(session, [request], datetime.now(UTC)).get(request)

    def restart_cluster(self) -> None:
        """As after a crash of the machine: what ran is gone."""
        self.cluster.close(grace=0.1)
        self.cluster = LocalCluster(self.folder / "cluster", slots=2)

    @staticmethod
    def _order(path: Path, code: int, words: str) -> None:
        part = path.with_suffix(".part")
        part.write_text(f"{code} {words}")
        part.rename(path)
