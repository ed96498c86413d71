"""Cancelling, slots, two trainings of one avatar, deleting an avatar; on the running platform."""

import os
import time
from collections.abc import Callable

import httpx
from running import Up

from tests.person import FINAL


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


def test_two_trainings_of_one_avatar_at_once_give_two_versions(shared_up: Up) -> None:
    both = [shared_up.training("bob"), shared_up.training("bob")]
    assert [shared_up.final(request)["state"] for request in both] == ["succeeded"] * 2
    versions = httpx.get(f"{shared_up.url}/v1/avatars/bob").json()["versions"]
    assert [version["version"] for version in versions] == [2, 1]
    assert {version["request"] for version in versions} == set(both)


def test_ten_renderings_with_two_slots(shared_up: Up) -> None:
    shared_up.avatar("cat")
    ten = {shared_up.rendering("cat") for _ in range(10)}
    states, most = [""], 0
    while not set(states) <= set(FINAL):
        page = httpx.get(f"{shared_up.url}/v1/requests?avatar=cat&kind=rendering", timeout=30).json()["items"]
        states = [one["state"] for one in page if one["id"] in ten]
        most = max(most, states.count("running"))
        assert most <= 2
        time.sleep(0.05)
    assert states == ["succeeded"] * 10
    assert most == 2


def test_a_rendering_and_an_asset_are_laid_beside_another_asset(shared_up: Up) -> None:
    shared_up.avatar("amy")
    rendering = shared_up.rendering("amy")
    assert shared_up.final(rendering)["state"] == "succeeded"
    predictions = [{"request": rendering, "output": "video"}, {"asset": shared_up.asset(b"other")}]
    body = {"ground_truth": {"asset": shared_up.asset(b"true")}, "predictions": predictions}
    several = shared_up.final(shared_up.post("/v1/evaluations", body)["id"])
    alone = shared_up.final(shared_up.post("/v1/evaluations", {**body, "predictions": predictions[1:]})["id"])
    assert (several["state"], alone["state"]) == ("succeeded", "succeeded"), (several, alone)
    numbered = {f"{name}-{number}" for name in ("report", "metrics") for number in (0, 1)}
    assert set(several["outputs"]) == {"scores", "comparison", *numbered}
    comparison = httpx.get(several["outputs"]["comparison"]["url"]).json()
    assert [(run["name"], run["psnr"]) for run in comparison["runs"]] == [("prediction-0", 30.0), ("prediction-1", 30.0)]
    assert set(alone["outputs"]) == {"scores", "report", "metrics"}
    assert httpx.get(alone["outputs"]["report"]["url"]).text == "<!doctype html>prediction-0 beside ground_truth"
    assert httpx.get(alone["outputs"]["scores"]["url"]).json() == alone["scores"]


def test_an_avatar_that_is_rendering_stays_until_it_is_done(shared_up: Up) -> None:
    shared_up.avatar("dan")
    request = shared_up.rendering("dan")
    refused = httpx.delete(f"{shared_up.url}/v1/avatars/dan")
    assert (refused.status_code, refused.json()["code"]) == (409, "avatar_in_use")
    shared_up.final(request)
    assert httpx.delete(f"{shared_up.url}/v1/avatars/dan").status_code == 204
    assert httpx.get(f"{shared_up.url}/v1/avatars/dan").status_code == 404
    folder = shared_up.home / "objects" / "geneface" / "requests"
    assert shared_up.wait(
        lambda: not any(files for where, _, files in os.walk(folder) if request in where), 20, "its objects to go"
    )
    assert httpx.get(f"{shared_up.url}/v1/requests", params={"avatar": "dan"}).json()["items"] == []


def test_a_second_training_of_the_same_video_skips_preprocessing(shared_up: Up) -> None:
    video = shared_up.asset(b"the same")
    shared_up.final(shared_up.training("eve", video))
    second = shared_up.training("eve-2", video)
    assert shared_up.final(second)["state"] == "succeeded"
    log = httpx.get(f"{shared_up.url}/v1/requests/{second}/logs").text
    assert '"stage": "preprocess"' not in log
    assert '"stage": "train"' in log


def test_an_input_at_fault_fails_at_once_with_its_own_words(shared_up: Up) -> None:
    row = shared_up.final(shared_up.training("flo", shared_up.asset(b"no face")))
    assert row["state"] == "failed"
    assert row["error"] == {"code": "no_face_detected", "message": "There is no face in the video."}
    assert row["attempt"] == 1
