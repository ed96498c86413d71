"""Cancelling, slots, two trainings of one avatar, deleting an avatar; on the running platform."""

import time
from collections.abc import Callable

import httpx
from running import Up


def test_cancel_while_queued_while_running_and_after_the_end(make_up: Callable[..., Up]) -> None:
    up = make_up(GENEFACE_SLOTS="1", seconds="5")
    up.start()
    running, waiting = up.training("ann"), up.training("bea")
    up.wait(lambda: up.get(running)["state"] == "running" and up.get(running)["progress"] > 0, 30, "the first to run")
    assert up.get(waiting)["state"] == "queued"
    assert up.get(waiting)["waiting_reason"] == "place 1 in the queue"
    assert httpx.delete(f"{up.url}/v1/requests/{waiting}").status_code == 200, "cancelled at once"
    assert httpx.delete(f"{up.url}/v1/requests/{running}").status_code == 202, "the worker hears it"
    for request in (waiting, running):
        assert up.final(request, 15)["state"] == "cancelled"
    before = up.get(running)
    assert httpx.delete(f"{up.url}/v1/requests/{running}").status_code == 200
    assert up.get(running) == before
    assert up.wait(lambda: not [p for p in up.processes() if "geneface" in " ".join(p.cmdline()[:4])], 10, "its processes to end")


def test_two_trainings_of_one_avatar_at_once_give_two_versions(up: Up) -> None:
    both = [up.training("ann"), up.training("ann")]
    assert [up.final(request)["state"] for request in both] == ["succeeded"] * 2
    versions = httpx.get(f"{up.url}/v1/avatars/ann").json()["versions"]
    assert [version["version"] for version in versions] == [2, 1]
    assert {version["request"] for version in versions} == set(both)


def test_ten_renderings_with_two_slots(up: Up) -> None:
    up.avatar("ann")
    ten = [up.rendering("ann") for _ in range(10)]
    most = 0
    while any(
        (states := [up.get(request)["state"] for request in ten]).count(state) for state in ("queued", "submitted", "running")
    ):
        most = max(most, states.count("running"))
        assert most <= 2
        time.sleep(0.1)
    assert states == ["succeeded"] * 10
    assert most == 2


def test_an_avatar_that_is_rendering_stays_until_it_is_done(up: Up) -> None:
    up.avatar("ann")
    request = up.rendering("ann")
    refused = httpx.delete(f"{up.url}/v1/avatars/ann")
    assert (refused.status_code, refused.json()["code"]) == (409, "avatar_in_use")
    up.final(request)
    assert httpx.delete(f"{up.url}/v1/avatars/ann").status_code == 204
    assert httpx.get(f"{up.url}/v1/avatars/ann").status_code == 404
    folder = up.home / "objects" / "geneface" / "requests"
    assert up.wait(lambda: not [file for file in folder.rglob("*") if file.is_file()], 20, "its objects to go")
    assert httpx.get(f"{up.url}/v1/requests").json()["items"] == []


def test_a_second_training_of_the_same_video_skips_preprocessing(up: Up) -> None:
    video = up.asset(b"the same")
    up.final(up.training("ann", video))
    second = up.training("bea", video)
    assert up.final(second)["state"] == "succeeded"
    log = httpx.get(f"{up.url}/v1/requests/{second}/logs").text
    assert '"stage": "preprocess"' not in log
    assert '"stage": "train"' in log


def test_an_input_at_fault_fails_at_once_with_its_own_words(up: Up) -> None:
    row = up.final(up.training("ann", up.asset(b"no face")))
    assert row["state"] == "failed"
    assert row["error"] == {"code": "no_face_detected", "message": "There is no face in the video."}
    assert row["attempt"] == 1
