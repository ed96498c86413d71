"""The controller against PostgreSQL, S3 and LocalCluster; its workers are one-liners, the test is their API."""

import json
import threading
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest
from controller_bench import Bench
from local_jobs import manifest, until
from minio.error import S3Error
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import make_url

from controller import observed
from controller.errors import ClusterError
from controller.metrics import MetricsServer
from store import jobs
from store.models import FINAL, Attempt, Removal, State
from store.objects import attempt_prefix


def test_request_goes_all_the_way(bench: Bench):
    with bench.running():
        request = bench.ask()
        attempt = bench.started(request)
        assert attempt.job_name == f"gf-rendering-{request.hex}-1"
        bench.claim(attempt)
        assert bench.row(request).state == State.RUNNING
        bench.publish(attempt)
        bench.end(attempt, 0)
        assert bench.final(request).state == State.SUCCEEDED
        until(lambda: bench.attempts(request)[0].job_uid)
    assert bench.events(request) == ["created", "submitted", "started", "succeeded"]
    assert not list((bench.folder / "cluster" / "jobs").iterdir())


def test_steps_run_in_order_and_the_input_may_be_at_fault(bench: Bench):
    with bench.running():
        request = bench.ask(("preprocess", "train"))
        attempt = bench.started(request, step="preprocess")
        assert not (bench.folder / f"{attempt.id}.train").exists()
        bench.end_step("preprocess", 0)
        bench.started(request, step="train")
        bench.end_step("train", 64, '{"code": "video_too_short", "message": "it lasts 1 s; 5 s are needed"}')
        row = bench.final(request)
    assert (row.state, row.error_code, row.error_message) == (State.FAILED, "video_too_short", "it lasts 1 s; 5 s are needed")
    assert row.attempt == 1


def test_crashes_are_tried_three_times_and_the_last_lines_kept(bench: Bench):
    bench.end_step("render", 1)
    with bench.running():
        request = bench.ask()
        row = bench.final(request)
    assert (row.state, row.error_code, row.attempt, row.tries) == (State.FAILED, "crashed", 3, 2)
    assert [one.outcome for one in bench.attempts(request)] == ["retry", "retry", "failed"]
    for number in (1, 2, 3):
        (key,) = bench.objects.names(attempt_prefix(request, number) + "log/")
        (line,) = [json.loads(text) for text in bench.objects.get(key).decode().splitlines()]
        assert (line["message"], line["attempt"], line["step"]) == ("render ends with 1", number, "render")
        assert (line["request"], line["kind"], line["level"]) == (str(request), "rendering", "error")


def test_last_lines_that_are_refused_do_not_hold_up_the_outcome(bench: Bench, monkeypatch: pytest.MonkeyPatch):
    def refused(*_: object) -> None:
        raise S3Error("AccessDenied", "no", "requests", "1", "1", None)

    monkeypatch.setattr(bench.objects, "put", refused)
    bench.end_step("render", 1)
    with bench.running(tries=1):
        assert bench.final(bench.ask()).error_code == "crashed"


def test_back_off_is_kept_and_told(bench: Bench):
    bench.end_step("render", 75, '{"code": "object_corrupt", "message": "sha256 differs"}')
    with bench.running(backoff_seconds=600, backoff_longest_seconds=600):
        request = bench.ask()
        until(lambda: bench.row(request).state == State.QUEUED and bench.row(request).attempt == 1)
        until(lambda: bench.attempts(request)[0].cleaned_at)
        assert bench.reason(request).startswith("sha256 differs; next try at ")
        bench.cancel(request)
        assert bench.final(request).state == State.CANCELLED
    assert bench.objects.names(attempt_prefix(request, 1)) == []  # it had last words


def test_cancel_while_running(bench: Bench):
    with bench.running():
        request = bench.ask()
        bench.claim(bench.started(request))
        bench.cancel(request)
        row = bench.final(request)
    assert (row.state, row.error_code, row.attempt) == (State.CANCELLED, None, 1)


def test_result_published_before_the_cancel_wins(bench: Bench):
    with bench.running():
        request = bench.ask()
        attempt = bench.started(request)
        bench.publish(attempt)
        bench.cancel(request)
        bench.end(attempt, 1)
        assert bench.final(request).state == State.SUCCEEDED


def test_job_that_ends_well_without_a_result(bench: Bench):
    bench.end_step("render", 0)
    with bench.running(tries=1):
        assert bench.final(bench.ask()).error_code == "result_missing"


def test_ten_requests_and_two_slots(bench: Bench):
    with bench.running():
        asked = [bench.ask() for _ in range(10)]
        until(lambda: bench.place(asked[9]) == 8)
        for request in asked:
            attempt = bench.started(request)
            active = [one for one in asked if bench.row(one).state in ("submitted", "running")]
            assert len(active) <= 2
            bench.publish(attempt)
            bench.end(attempt, 0)
        assert {bench.final(request).state for request in asked} == {State.SUCCEEDED}


def test_more_jobs_than_slots_wait_at_the_cluster(bench: Bench):
    with bench.running(max_active_jobs=5):
        asked = [bench.ask() for _ in range(4)]
        waiting = [f"waiting for a slot (place {place})" for place in (1, 2)]
        until(lambda: sorted(filter(None, map(bench.reason, asked))) == waiting)
        for request in reversed(asked):
            bench.cancel(request)
        assert {bench.final(request).state for request in asked} == {State.CANCELLED}


def test_crash_between_commit_and_create(bench: Bench):
    request = bench.ask()
    with bench.database.begin() as session:
        attempt = jobs.submit(session, request, 1)
        assert attempt is not None
    with bench.running():
        assert bench.started(request).id == attempt.id
        bench.publish(attempt)
        bench.end(attempt, 0)
        assert bench.final(request).attempt == 1


def test_crash_between_create_and_acknowledgement(bench: Bench):
    with bench.running():
        request = bench.ask()
        attempt = bench.started(request)
    with bench.database.begin() as session:
        session.get_one(Attempt, attempt.id).job_uid = None
    with bench.running():
        until(lambda: bench.attempts(request)[0].job_uid)
        bench.publish(attempt)
        bench.end(attempt, 0)
        assert bench.final(request).attempt == 1


@pytest.mark.parametrize("acknowledged", [True, False])
def test_machine_crashes_after_the_worker_claimed(bench: Bench, acknowledged: bool):
    with bench.running():
        request = bench.ask()
        attempt = bench.started(request)
        bench.claim(attempt)
    with bench.database.begin() as session:
        session.get_one(Attempt, attempt.id).job_uid = attempt.job_uid if acknowledged else None
    bench.restart_cluster()
    with bench.running():
        second = bench.started(request, number=2)
        bench.publish(second)
        bench.end(second, 0)
        row = bench.final(request)
    assert (row.state, row.tries, row.disruptions) == (State.SUCCEEDED, 0, 1)


def test_job_deleted_by_a_human(bench: Bench):
    with bench.running():
        request = bench.ask()
        bench.cluster.delete(bench.started(request).job_name)
        bench.end(bench.started(request, number=2), 64)
        row = bench.final(request)
    assert (row.disruptions, row.tries, row.attempt) == (1, 0, 2)


def test_stranger_with_our_name_is_left_alone(bench: Bench):
    request = bench.ask()
    name = f"gf-rendering-{request.hex}-1"
    stranger = manifest(name, ["sleep", "60"], request="none of ours", terminationGracePeriodSeconds=1)
    bench.cluster.create(stranger, {"token": "t"})
    with bench.running():
        bench.end(bench.started(request, number=2), 64)
        assert bench.row(request).disruptions == 1
        until(lambda: bench.row(request).state in FINAL)
        assert bench.cluster.get(name) is not None


def test_job_of_a_request_that_was_deleted(bench: Bench):
    job = manifest("gf-rendering-old-1", ["sleep", "60"], terminationGracePeriodSeconds=1)
    bench.cluster.create(job, {"token": "t"})
    with bench.running():
        until(lambda: bench.cluster.get("gf-rendering-old-1") is None)


def test_deadline_and_unknown_gpu_are_final(bench: Bench):
    with bench.running(deadlines={"rendering": 1}):
        slow, strange = bench.ask(), bench.ask(gpu="h900")
        assert bench.final(strange).error_code == "gpu_unknown"
        row = bench.final(slow)
    assert (row.state, row.error_code, row.attempt) == (State.FAILED, "deadline_exceeded", 1)


def test_one_request_that_fails_to_be_looked_at_does_not_stop_the_others(bench: Bench, monkeypatch: pytest.MonkeyPatch):
    create, troubles = bench.cluster.create, [ClusterError("the cluster is full of eels")] * 2 + [RuntimeError("a bug")]
    bad = bench.ask()

    def troubled(job: dict[str, Any], secret: dict[str, str]) -> str:
        if observed.request_of(job) == bad and troubles:
            raise troubles.pop(0)
        return create(job, secret)

    monkeypatch.setattr(bench.cluster, "create", troubled)
    with bench.running():
        good = bench.ask()
        until(lambda: bench.reason(bad) == "the cluster is full of eels")
        bench.end(bench.started(good), 64)
        assert bench.final(good).state == State.FAILED
        bench.end(bench.started(bad), 64)
        assert bench.final(bad).attempt == 1
    assert not troubles


def test_one_job_that_cannot_be_read_does_not_stop_the_others(bench: Bench, monkeypatch: pytest.MonkeyPatch):
    bad, jobs_of = bench.ask(), bench.cluster.jobs
    broken = [{"metadata": {"name": "gf-1", "labels": {observed.REQUEST_LABEL: str(bad)}}}]
    monkeypatch.setattr(bench.cluster, "jobs", lambda request=None: broken if request == bad else jobs_of(request))
    with bench.running(full_pass_seconds=0.2):
        good = bench.ask()
        bench.end(bench.started(good), 64)
        assert bench.final(good).state == State.FAILED
        assert bench.row(bad).state == State.QUEUED
        monkeypatch.setattr(bench.cluster, "jobs", jobs_of)
        bench.end(bench.started(bad), 64)


def test_database_away_for_a_while(bench: Bench, postgres_server: str):
    name = make_url(bench.connections["database_url"]).database
    with bench.running(), psycopg.connect(postgres_server, autocommit=True) as admin:
        request = bench.ask()
        attempt = bench.started(request)
        admin.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
        admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [name])
        bench.end(attempt, 64, '{"code": "audio_empty", "message": "no samples"}')
        threading.Event().wait(2.0)
        admin.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")
        assert until(lambda: _tried(lambda: bench.final(request, 1.0)), 15).error_code == "audio_empty"
        second = bench.ask()  # the listener is back too: the full pass is half a minute away
        bench.end(bench.started(second), 64)


def test_hints_that_are_lost_are_made_good_by_the_full_pass(bench: Bench, monkeypatch: pytest.MonkeyPatch):
    def deaf(timeout: float) -> Iterator[None]:
        while True:
            yield None
            threading.Event().wait(timeout)

    monkeypatch.setattr(bench.database, "hints", deaf)
    with bench.running(full_pass_seconds=0.2):
        threading.Event().wait(0.3)
        bench.end(bench.started(bench.ask()), 64)


def test_sweeps(bench: Bench):
    bench.objects.put("requests/old/1/video.mp4", b"x")
    with bench.database.begin() as session:
        session.add(Removal(owner="local", prefix="requests/old/"))
    with bench.running():
        until(lambda: not bench.objects.names("requests/old/"))


def test_metrics_and_liveness(bench: Bench):
    with bench.running():
        assert bench.controller is not None
        request = bench.ask()
        bench.end(bench.started(request), 64)
        bench.final(request)
        server = MetricsServer(bench.controller.metrics, 0, "127.0.0.1")
        with urllib.request.urlopen(f"http://127.0.0.1:{server.port}/metrics") as answer:
            families = {one.name: one for one in text_string_to_metric_families(answer.read().decode())}
        with urllib.request.urlopen(f"http://127.0.0.1:{server.port}/healthz") as answer:
            assert answer.read() == b"ok\n"
        server.close()
    done = {
        sample.labels["action"]: sample.value
        for sample in families["geneface_controller_actions"].samples
        if "action" in sample.labels
    }
    assert done["Submit"] >= 1
    assert done["Finish"] == done["MarkCleaned"] == 1
    assert families["geneface_controller_last_look_age_seconds"].samples[0].value < 5


def _tried(what: Callable[[], Any]) -> Any:
    """None while it cannot be had."""
    try:
        return what()
    except Exception:
        return None
