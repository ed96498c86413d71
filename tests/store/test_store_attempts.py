"""The fence: one owner, one result, whoever comes late writes nothing."""

import threading
from collections.abc import Callable
from uuid import UUID

import pytest
from sqlalchemy import text

from store import attempts, avatars, jobs, removals, requests
from store.attempts import DatasetKey
from store.database import Database
from store.errors import AttemptFinalError, AttemptOwnedError, AttemptStaleError, InUseError, ObjectNotRemovedError
from store.models import Json, Kind, Removal, Request, State
from store.objects import Objects

VIDEO = {"name": "inputs/video", "key": "assets/x/file", "size": 3, "sha256": "ab" * 32}
FILES = [{"name": "model/model.json", "size": 2, "sha256": "cd" * 32}]
KEY = DatasetKey(version=1, options_hash="quick")


def training(database: Database, avatar: str = "ann", uses: list[str] | None = None) -> UUID:
    with database.begin() as session:
        avatars.ensure(session, "local", avatar, None, {"statement": "I agree", "by": "Ann"})
        spec = {"inputs": [VIDEO]}
        return requests.create(session, owner="local", kind=Kind.TRAINING, spec=spec, uses=uses or [], avatar=avatar).id


def submitted(database: Database, request_id: UUID, number: int = 1) -> UUID:
    with database.begin() as session:
        attempt = jobs.submit(session, request_id, number)
        assert attempt is not None
        return attempt.id


def claimed(database: Database, attempt_id: UUID, run: str = "run-1") -> None:
    with database.begin() as session:
        attempts.claim(session, attempt_id, run, "train", None)


def publish(database: Database, attempt_id: UUID, run: str = "run-1") -> bool:
    with database.begin() as session:
        return attempts.publish_result(session, attempt_id, run, FILES, lambda *_: {"outputs": {}})[1]


def state(database: Database, request_id: UUID) -> Request:
    with database.begin() as session:
        return requests.get(session, request_id, "local")


def at_once(*tasks: Callable[[], object]) -> list[object]:
    """Runs the tasks in threads that start together; an exception is its task's result."""
    barrier, results = threading.Barrier(len(tasks)), [None] * len(tasks)

    def run(index: int) -> None:
        barrier.wait()
        try:
            results[index] = tasks[index]()
        except Exception as error:
            results[index] = error

    threads = [threading.Thread(target=run, args=(index,)) for index in range(len(tasks))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def test_first_of_two_runs_owns_the_attempt(database: Database) -> None:
    attempt = submitted(database, training(database))
    results = at_once(*(lambda run=run: claimed(database, attempt, run) for run in ("a", "b", "c", "d")))
    assert sum(result is None for result in results) == 1
    assert sum(isinstance(result, AttemptOwnedError) for result in results) == 3


def test_the_same_run_claims_again_for_each_step(database: Database) -> None:
    request = training(database)
    attempt = submitted(database, request)
    claimed(database, attempt)
    claimed(database, attempt)
    assert state(database, request).state == State.RUNNING


def test_a_result_ends_the_request_and_makes_a_version(database: Database) -> None:
    request = training(database, "bea")
    attempt = submitted(database, request)
    claimed(database, attempt)
    assert publish(database, attempt) is True
    assert publish(database, attempt) is False, "publishing again changes nothing"
    with database.begin() as session:
        assert avatars.version(session, "local", "bea").version == 1
    assert state(database, request).state == State.SUCCEEDED
    with pytest.raises(AttemptFinalError):
        claimed(database, attempt)


def of_scores(database: Database, scores: Json | None) -> Json:
    """The last event of an evaluation that published `scores`."""
    with database.begin() as session:
        made = requests.create(session, owner="local", kind=Kind.EVALUATION, spec={"inputs": []}, uses=[]).id
    attempt = submitted(database, made)
    claimed(database, attempt)
    with database.begin() as session:
        attempts.publish_result(session, attempt, "run-1", [], lambda *_: {"outputs": {}, "scores": scores})
        last = requests.events(session, made, "local")[-1]
        assert last.type == "succeeded"
        return last.data


def test_the_last_event_of_an_evaluation_shows_the_six_figures(database: Database) -> None:
    six: Json = {"niqe": 5.5, "psnr": 30.5, "ssim": 0.9, "fid": None, "lse_c": None, "lse_d": None}
    more = {"lpips": 0.1, "mouth": {"psnr": 25.0}, "errors": {"fid": "weights_missing"}, "details": {"lse_curve": [1.0] * 31}}
    plain = {"state": "succeeded", "attempt": 1}
    assert of_scores(database, {**six, **more}) == {**plain, "scores": six}
    several = [{**six, **more}, {**six, "psnr": 31.5}]
    assert of_scores(database, {"predictions": several})["scores"] == {"predictions": [six, {**six, "psnr": 31.5}]}
    assert of_scores(database, {"psnr": ["x" * 1000], "predictions": 1})["scores"] == dict.fromkeys(six)
    assert of_scores(database, None) == plain


def test_two_trainings_at_once_give_two_versions(database: Database) -> None:
    pairs = [submitted(database, training(database, "cleo")) for _ in range(4)]
    for attempt in pairs:
        claimed(database, attempt)
    assert at_once(*(lambda one=one: publish(database, one) for one in pairs)) == [True] * 4
    with database.begin() as session:
        avatar = avatars.get(session, "local", "cleo")
        assert [row.version for row in avatars.versions(session, avatar)] == [4, 3, 2, 1]


def test_a_superseded_attempt_writes_nothing(database: Database) -> None:
    request = training(database)
    old = submitted(database, request)
    claimed(database, old)
    with database.begin() as session:
        assert jobs.requeue(session, request, 1, counted=False, code="lost", message="the Job is gone", next_try_at=None)
    with pytest.raises(AttemptFinalError):
        publish(database, old)
    new = submitted(database, request, 2)
    with pytest.raises(AttemptStaleError):
        publish(database, old)
    claimed(database, new, "run-2")
    assert publish(database, new, "run-2")


def test_publish_and_cancel_at_once_leave_one_final_state(database: Database) -> None:
    for _ in range(5):
        request = training(database)
        attempt = submitted(database, request)
        claimed(database, attempt)

        def cancelled(request: UUID = request) -> bool:
            with database.begin() as session:
                requests.cancel(session, request, "local")
            with database.begin() as session:
                return jobs.finish(session, request, 1, State.CANCELLED, None, None)

        published, cancelled_first = at_once(lambda attempt=attempt: publish(database, attempt), cancelled)
        row = state(database, request)
        assert (row.state == State.SUCCEEDED) == (published is True)
        assert (row.state == State.CANCELLED) == (cancelled_first is True)
        assert (row.result is not None) == (published is True)


def test_progress_never_falls_and_stop_is_heard(database: Database) -> None:
    request = training(database)
    attempt = submitted(database, request)
    claimed(database, attempt)

    def report(progress: float) -> bool:
        with database.begin() as session:
            return attempts.report(session, attempt, "run-1", "train", "train", progress, 10)

    assert report(0.5) is False
    assert report(0.2) is False
    assert state(database, request).progress == 0.5
    with database.begin() as session:
        requests.cancel(session, request, "local")
    assert report(0.6) is True


def test_the_first_dataset_wins_and_the_other_is_swept(database: Database, objects: Objects) -> None:
    ids = [training(database, "dora") for _ in range(2)]
    both = [submitted(database, request) for request in ids]
    for request, attempt in zip(ids, both, strict=True):
        claimed(database, attempt)
        objects.put(f"requests/{request}/1/dataset/frames.mp4", b"x")
    accepted = []
    for attempt in both:
        with database.begin() as session:
            accepted.append(attempts.publish_dataset(session, attempt, "run-1", KEY, FILES))
    assert accepted == [True, False]
    removals.sweep(database, objects)
    assert objects.names(f"requests/{ids[0]}/")
    assert not objects.names(f"requests/{ids[1]}/")
    with database.begin() as session:
        found = attempts.find_dataset(session, requests.get(session, ids[1], "local"), KEY)
        assert found is not None
        assert found.request_id == ids[0]


def test_the_last_two_checkpoints_are_kept(database: Database) -> None:
    request = training(database)
    attempt = submitted(database, request)
    claimed(database, attempt)
    for step in (10, 20, 30):
        with database.begin() as session:
            attempts.publish_checkpoint(session, attempt, "run-1", f"train-{step}", step, FILES)
    with database.begin() as session:
        claim = attempts.claim(session, attempt, "run-1", "train", None)
        assert claim.checkpoint is not None
        assert claim.checkpoint.step == 30
        notes = [row.prefix for row in session.query(Removal).filter(Removal.prefix.like(f"%{request}%"))]
    assert notes == [f"requests/{request}/1/checkpoints/train-10/"]


def test_what_losing_attempts_left_is_swept(database: Database, objects: Objects) -> None:
    request = training(database, "fay")
    attempt = submitted(database, request)
    claimed(database, attempt)
    for name in ("log/train-000001.jsonl", "model/model.json", "checkpoints/train-5/state", "dataset/frames.mp4"):
        objects.put(f"requests/{request}/1/{name}", b"x")
    with database.begin() as session:
        attempts.publish_dataset(session, attempt, "run-1", DatasetKey(2, "fay"), FILES)
        attempts.publish_checkpoint(session, attempt, "run-1", "train-5", 5, FILES)
        jobs.requeue(session, request, 1, counted=False, code="lost", message="lost", next_try_at=None)
    winner = submitted(database, request, 2)
    claimed(database, winner)
    objects.put(f"requests/{request}/2/model/model.json", b"x")
    publish(database, winner)
    while removals.sweep(database, objects):
        pass
    kept = [name.removeprefix(f"requests/{request}/") for name in objects.names(f"requests/{request}/")]
    assert kept == ["1/dataset/frames.mp4", "1/log/train-000001.jsonl", "2/model/model.json"]


def test_an_avatar_in_use_stays(database: Database, objects: Objects) -> None:
    first = training(database, "eva")
    attempt = submitted(database, first)
    with database.begin() as session, pytest.raises(InUseError):
        avatars.remove(session, "local", "eva")
    claimed(database, attempt)
    publish(database, attempt)
    objects.put(f"requests/{first}/1/model/model.json", b"{}")
    with database.begin() as session:
        avatar = avatars.remove(session, "local", "eva")
    while removals.sweep(database, objects):
        pass
    assert not objects.names(f"requests/{first}/")
    with database.begin() as session:
        assert [event.type for event in requests.events(session, first, "local")], "events outlive the request"
        assert requests.events(session, avatar, "local")[0].type == "avatar_deleted"


def test_a_cancel_between_two_tries_leaves_nothing_but_the_log(database: Database, objects: Objects) -> None:
    request = training(database, "gus")
    attempt = submitted(database, request)
    claimed(database, attempt)
    for name in ("log/00-train-00000000.ndjson", "checkpoints/train-5/state"):
        objects.put(f"requests/{request}/1/{name}", b"x")
    with database.begin() as session:
        attempts.publish_checkpoint(session, attempt, "run-1", "train-5", 5, FILES)
        jobs.requeue(session, request, 1, counted=True, code="crashed", message="crashed", next_try_at=None)
    with database.begin() as session:
        row = requests.cancel(session, request, "local")
        assert attempts.last_checkpoint(session, row) is None
    while removals.sweep(database, objects):
        pass
    assert objects.names(f"requests/{request}/") == [f"requests/{request}/1/log/00-train-00000000.ndjson"]


def test_what_cannot_be_deleted_keeps_nothing_else(database: Database, objects: Objects, monkeypatch: pytest.MonkeyPatch) -> None:
    remove = objects.remove

    def refusing(prefix: str, keep: list[str]) -> int:
        if prefix == "locked/":
            raise ObjectNotRemovedError("locked/a was not removed: AccessDenied")
        return remove(prefix, keep)

    monkeypatch.setattr(objects, "remove", refusing)
    objects.put("free/a", b"x")
    with database.begin() as session:
        session.add_all([Removal(owner="local", prefix="locked/"), Removal(owner="local", prefix="free/")])
    while removals.sweep(database, objects):
        pass
    assert objects.names("free/") == []
    with database.begin() as session:
        assert [row.prefix for row in session.query(Removal)] == ["locked/"]
        session.query(Removal).delete()


def test_deleting_an_avatar_does_not_wait_for_one_that_publishes(database: Database) -> None:
    request = training(database, "hal")
    with database.begin() as publishing:
        requests.locked(publishing, request)
        with database.begin() as session, pytest.raises(InUseError):
            session.execute(text("SET LOCAL lock_timeout = '1s'"))
            avatars.remove(session, "local", "hal")


def test_a_stage_without_a_name_is_no_news(database: Database) -> None:
    request = training(database)
    attempt = submitted(database, request)
    claimed(database, attempt)
    for stage in ("landmarks", "", None, "landmarks"):
        with database.begin() as session:
            attempts.report(session, attempt, "run-1", "preprocess", stage, 0.1, None)
    with database.begin() as session:
        assert requests.get(session, request, "local").stage == "landmarks"
        assert [event.type for event in requests.events(session, request, "local")].count("stage") == 1
