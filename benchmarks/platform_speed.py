"""How fast the platform itself is: `python benchmarks/platform_speed.py [--scale S] [part…]`; no part: all of them.

creates, latency, active, idle: the controller as a process against a real API server (GENEFACE_KUBE_SCRIPTS: where apiserver-up
lies), with simulated nodes where Jobs are to end. api, page: the API as one process. Each figure stands beside a baseline that
runs in the same minutes. `--scale 0.1`: a tenth of everything, to try the script.
"""

import argparse
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from api_speed import api, page
from figures import Figure, percentile, spread
from ground import Controllers, Hints, Kube, Program, Servers, Watcher, address, controllers, file, kube, servers, wait
from sqlalchemy import func, select, text

from controller import manifest
from controller.errors import ClusterError
from controller.kube_api import KubeApi, Raw, namespaced
from controller.settings import Settings
from store import ids, jobs
from store.database import CHANNEL, Database
from store.models import Attempt, Kind

RAMP = 100
"""Jobs of the slow start, left out of the sustained rate."""
NODES = "100"
GOAL_RATE = 20
"""Requests a second; a slower rate beside it shows what a machine does that is not full."""


class Bare:
    """What stands beside the controller: the same Jobs and Secrets, POSTed by the same client, with nothing kept or decided."""

    def __init__(self, servers: Servers, database: Database, kube: Kube) -> None:
        self.namespace, config = kube.namespace()
        self._api = KubeApi.connect(config)
        given = {name.removeprefix("GENEFACE_").lower(): value for name, value in servers.environment.items()}
        small: Any = {"rendering": {"cpu": "10m", "memory": "1Mi"}}
        self._settings = Settings(**given, database_url=address(database), namespace=self.namespace, resources=small)  # type: ignore[arg-type]

    def job(self, request: UUID) -> Raw:
        name = f"gf-rendering-{request.hex}-1"
        plan = manifest.Plan(str(request), Kind.RENDERING, "ada", str(ids.new()), 1, name, ("render",), None, 0)
        return self._api.call("POST", namespaced("apis/batch/v1", self.namespace, "jobs"), manifest.build(plan, self._settings))

    def secret(self, job: Raw) -> None:
        name, uid = job["metadata"]["name"], job["metadata"]["uid"]
        owner = {"apiVersion": "batch/v1", "kind": "Job", "name": name, "uid": uid, "controller": True}
        body = {
            "apiVersion": "v1", "kind": "Secret", "type": "Opaque", "immutable": True, "stringData": {"token": "x" * 64},
            "metadata": {"name": name, "ownerReferences": [owner]},
        }  # fmt: skip
        self._api.call("POST", namespaced("api/v1", self.namespace, "secrets"), body)


def creates(servers: Servers, scale: float) -> Iterator[Figure]:
    """A backlog becomes Jobs: first without nodes, so that nothing ends meanwhile; then whole lives on simulated nodes."""
    count = int(1500 * scale)
    with kube("--controllers") as server, controllers(servers, server) as (ours, database):
        bare = Bare(servers, database, server)
        began = time.perf_counter()
        for _ in range(count // 4):
            bare.secret(bare.job(ids.new()))
        serial = (count // 4) / (time.perf_counter() - began)
        file(database, count)
        seen = Watcher(server, ours.namespace)
        ours.start()
        wait(lambda: _acknowledged(database) == count, 300, "all Jobs")
        wait(lambda: len(seen.made) == count, 30, "the news of all Jobs")
        times = sorted(seen.made.values())
        skipped = min(RAMP, count // 2)
        rate = (count - 1 - skipped) / (times[-1] - times[skipped])
        secrets = server.admin.call("GET", namespaced("api/v1", ours.namespace, "secrets"))["items"]
        doubled = sum(len(names) - 1 for names in seen.names.values()) + len(secrets) - count
    measured = f"{rate:.0f} Jobs/s (with the slow start {count / (times[-1] - times[0]):.0f}), {doubled} doubled of {count}"
    yield Figure(
        "Job and Secret creates, sustained", measured, f"serial loop {serial:.0f} Jobs/s", f"{rate / serial:.2f}",
        "≥ 60/s, 0 doubled", rate >= 60 and doubled == 0,
    )  # fmt: skip
    with kube("--kwok", NODES) as server, controllers(servers, server) as (ours, database):
        whole = count // 2
        file(database, whole)
        ours.start()
        wait(lambda: _acknowledged(database) > 0, 60, "the first Job")
        taken = wait(lambda: _cleaned(database) == whole, 300, "all ends", 0.1)
    yield Figure(
        "whole lives: Job and Secret created, pod ended, row final, Job deleted", f"{whole / taken:.0f} Jobs/s",
        "3 writes each at 150/s: 50 Jobs/s", f"{whole / taken / 50:.2f}",
    )  # fmt: skip


def _acknowledged(database: Database) -> int:
    with database.begin() as session:
        return session.scalar(select(func.count()).where(Attempt.job_uid.is_not(None))) or 0


def _cleaned(database: Database) -> int:
    with database.begin() as session:
        return session.scalar(select(func.count()).where(Attempt.cleaned_at.is_not(None))) or 0


def latency(servers: Servers, scale: float) -> Iterator[Figure]:
    """Requests at a steady rate on simulated nodes: from commit to Job, and from the Job's end to the row's."""
    for rate in (GOAL_RATE, GOAL_RATE * 2 // 5):
        yield from _latency(servers, scale, rate)


def _latency(servers: Servers, scale: float, rate: int) -> Iterator[Figure]:
    with kube("--kwok", NODES) as server:
        with servers.database() as database:
            bare = _bare_pace(servers, database, server, int(10 * rate * scale), rate)
        with controllers(servers, server) as (ours, database):
            leader = ours.start()
            wait(leader.leads, 60, "the controller to lead")
            file(database, 100)  # past the slow start, as a controller is that has been at work
            wait(lambda: _cleaned(database) == 100, 120, "the first Jobs")
            seen, hints = Watcher(server, ours.namespace), Hints(database)
            time.sleep(1)
            committed = _at_pace(database, int(30 * rate * scale), rate)
            wait(lambda: _cleaned(database) == 100 + len(committed), 120, "all ends")
            hints.stop()
            started = [seen.made[one] - at for one, at in committed.items()]
            ended = [hints.times[one][-1] - seen.ended[one] for one in committed if one in seen.ended]
    p50, p99, final = percentile(started, 0.5), percentile(started, 0.99), percentile(ended, 0.99)
    aim = rate == GOAL_RATE
    slower = p50 / percentile(bare[0], 0.5), p99 / percentile(bare[0], 0.99)
    yield Figure(
        f"commit → Job seen, at {rate}/s", spread(started), f"bare listener that POSTs {spread(bare[0])}",
        "{:.1f}, {:.1f}".format(*slower), "p50 < 50 ms, p99 < 300 ms" if aim else "",
        p50 < 0.05 and p99 < 0.3 if aim else None,
    )  # fmt: skip
    yield Figure(
        f"Job end → row final, at {rate}/s", f"{spread(ended)} ({len(ended)} of {len(committed)} ends seen)",
        f"bare watcher that UPDATEs {spread(bare[1])}", f"{final / percentile(bare[1], 0.99):.1f}", "p99 < 1 s" if aim else "",
        final < 1 if aim else None,
    )  # fmt: skip


def _at_pace(database: Database, count: int, rate: int) -> dict[UUID, float]:
    """Files requests at an even pace; when each commit was through."""
    committed: dict[UUID, float] = {}
    began = time.perf_counter()
    for number in range(count):
        time.sleep(max(0.0, began + number / rate - time.perf_counter()))
        (made,) = file(database, 1)
        committed[made] = time.perf_counter()
    return committed


def _bare_pace(servers: Servers, database: Database, server: Kube, count: int, rate: int) -> tuple[list[float], list[float]]:
    """From commit to Job, and from the Job's end to the row's, with nothing between: seconds."""
    bare = Bare(servers, database, server)
    seen = Watcher(server, bare.namespace)
    known: set[UUID] = set()

    def heard(request: UUID) -> None:
        if request not in known:
            known.add(request)
            bare.job(request)

    def ended(request: UUID) -> None:
        with database.begin() as session:
            session.execute(text("UPDATE requests SET state = 'failed' WHERE id = :id"), {"id": request})
            session.execute(select(func.pg_notify(CHANNEL, str(request))))

    seen.on_end = ended
    hints = Hints(database, heard)
    time.sleep(1)
    committed = _at_pace(database, count, rate)
    wait(lambda: all(len(hints.times[one]) >= 2 for one in committed), 60, "all ends")
    hints.stop()
    started = [seen.made[one] - at for one, at in committed.items()]
    return started, [hints.times[one][-1] - seen.ended[one] for one in committed]


def active(servers: Servers, scale: float) -> Iterator[Figure]:
    """Many requests at work: the Jobs and pods are real, and said to run; a restart in the middle."""
    half = int(5000 * scale)
    with (
        kube("--controllers") as server,
        controllers(servers, server, writes_per_second=1000) as (ours, database),
        _running(server, ours.namespace) as marked,
    ):
        first = ours.start()
        wait(first.leads, 60, "the controller to lead")
        empty, _ = first.memory()
        began = time.monotonic()
        file(database, half)
        _all_run(first, database, marked, half)
        filled = half / (time.monotonic() - began)
        first.stop()
        listed = _bare_look(ours, database)
        (canary,) = file(database, 1)
        seen = Watcher(server, ours.namespace)
        began = time.monotonic()
        second = ours.start()
        leads = wait(second.leads, 60, "the controller to lead")
        wait(lambda: canary in seen.made and second.metrics().get("geneface_controller_queue") == 0, 120, "the restart")
        settled = time.monotonic() - began
        yield Figure(
            f"restart with {half} active: new work started and queue empty", f"{settled:.1f} s (leads after {leads:.1f} s)",
            f"bare: list Jobs and pods, read rows {listed:.1f} s", f"{settled / listed:.1f}", "< 10 s", settled < 10,
        )  # fmt: skip
        file(database, half - 1)
        _all_run(second, database, marked, 2 * half)
        now, highest = second.memory()
    yield Figure(
        f"memory with {2 * half} active", f"{now:.0f} MB, at its highest {highest:.0f} MB ({filled:.0f} Jobs/s on the way)",
        f"the same controller without work {empty:.0f} MB", f"{now / empty:.1f}; {1000 * (now - empty) / (2 * half):.0f} kB each",
        "< 400 MB", highest < 400,
    )  # fmt: skip


def _all_run(controller: Program, database: Database, marked: set[str], count: int) -> None:
    def done() -> bool:
        return _acknowledged(database) == count and len(marked) == count and _queue(controller) == 0

    wait(done, 600, f"{count} running pods", 1.0)


def _queue(controller: Program) -> float:
    return controller.metrics().get("geneface_controller_queue", -1)


def _bare_look(ours: Controllers, database: Database) -> float:
    """Seconds to read all that a controller has to know: Jobs and pods in pages, rows in pages."""
    api = KubeApi.connect(ours.config)
    began = time.monotonic()
    for group, resource in (("apis/batch/v1", "jobs"), ("api/v1", "pods")):
        query: dict[str, str | int] = {"limit": 500}
        while True:
            page = api.call("GET", namespaced(group, ours.namespace, resource), query=query)
            query["continue"] = page["metadata"].get("continue") or ""
            if not query["continue"]:
                break
    with database.begin() as session:
        found = jobs.open_ids(session)
    for start in range(0, len(found), 500):
        with database.begin() as session:
            jobs.load(session, found[start : start + 500])
    return time.monotonic() - began


@contextmanager
def _running(server: Kube, namespace: str) -> Iterator[set[str]]:
    """Says of each pod of the namespace that it runs, as its node would; gives the names of those."""
    path, marked = namespaced("api/v1", namespace, "pods"), set[str]()
    version = server.admin.call("GET", path)["metadata"]["resourceVersion"]

    def mark(pod: Raw) -> None:
        now = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
        names = ("PodScheduled", "Initialized", "ContainersReady", "Ready")
        conditions = [{"type": name, "status": "True", "lastTransitionTime": now} for name in names]
        containers = [
            {"name": one["name"], "image": one["image"], "imageID": "simulated", "ready": True, "started": True,
             "restartCount": 0, "state": {"running": {"startedAt": now}}}
            for one in pod["spec"]["containers"]
        ]  # fmt: skip
        status = {"phase": "Running", "startTime": now, "conditions": conditions, "containerStatuses": containers}
        pod["metadata"].pop("resourceVersion")
        server.admin.call("PUT", f"{path}/{pod['metadata']['name']}/status", {**pod, "status": status})
        marked.add(pod["metadata"]["name"])

    def follow() -> None:
        with suppress(ClusterError):
            for event in server.admin.watch(path, {"resourceVersion": version, "timeoutSeconds": 1800}, 1800):
                if event["type"] == "ADDED":
                    pool.submit(mark, event["object"])

    with ThreadPoolExecutor(2) as pool:
        threading.Thread(target=follow, daemon=True).start()
        yield marked


def idle(servers: Servers, scale: float) -> Iterator[Figure]:
    """Leader and standby with nothing to do, then one after the other taken away."""
    seconds = 60 * scale
    with kube() as server, controllers(servers, server) as (ours, _):
        alone = server.requests_total()
        time.sleep(seconds / 2)
        alone = (server.requests_total() - alone) / (seconds / 2)
        leader = ours.start()
        wait(leader.leads, 60, "the controller to lead")
        standby = ours.start()
        time.sleep(10)
        cpu, calls = leader.cpu_seconds() + standby.cpu_seconds(), server.requests_total()
        time.sleep(seconds)
        cpu = (leader.cpu_seconds() + standby.cpu_seconds() - cpu) / seconds
        calls = (server.requests_total() - calls) / seconds - alone
        yield Figure(
            f"idle for {seconds:.0f} s, leader and standby together", f"{100 * cpu:.2f} % CPU, {calls:.2f} calls/s",
            f"the API server's own calls {alone:.2f}/s", f"{calls / alone:.1f}" if alone else "–", "< 1 % CPU, < 0.6 calls/s",
            cpu < 0.01 and calls < 0.6,
        )  # fmt: skip
        for number, name, goal in ((signal.SIGTERM, "SIGTERM", 3), (signal.SIGKILL, "kill -9", 20)):
            began = time.monotonic()
            os.kill(leader.process.pid, number)
            wait(standby.leads, 60, "the standby to lead", 0.05)
            taken = time.monotonic() - began
            yield Figure(
                f"fail-over after {name}",
                f"{taken:.1f} s",
                "the Lease lasts 15 s",
                f"{taken / 15:.2f}",
                f"< {goal} s",
                taken < goal,
            )
            leader.stop()
            leader, standby = standby, ours.start()
            time.sleep(8)


PARTS: dict[str, Callable[[Servers, float], Iterator[Figure]]] = {
    "creates": creates, "latency": latency, "active": active, "idle": idle, "api": api, "page": page,
}  # fmt: skip


def main() -> None:
    """Prints the table, a row as soon as it is known."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", metavar="part", help=", ".join(PARTS))
    parser.add_argument("--scale", type=float, default=1.0, help="how much of everything")
    given = parser.parse_args()
    if unknown := set(given.parts) - set(PARTS):
        parser.error(f"there is no part {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that what was started is stopped
    figures = []
    print("| what | measured | baseline beside it | ratio | goal | |\n| --- | --- | --- | --- | --- | --- |", flush=True)
    with servers() as running:
        for name in given.parts or PARTS:
            began, load_before = time.monotonic(), os.getloadavg()[0]
            for figure in PARTS[name](running, given.scale):
                figures.append(figure)
                print(figure, flush=True)
            took = f"{name}: {time.monotonic() - began:.0f} s, load before {load_before:.1f}, after {os.getloadavg()[0]:.1f}"
            print(took, file=sys.stderr, flush=True)
    goals = [figure.reached for figure in figures if figure.reached is not None]
    print(f"\n{sum(goals)} of {len(goals)} goals reached, {os.cpu_count()} cores")


if __name__ == "__main__":
    main()
