"""Files between a folder and an object store that fails in every way it can."""

import threading

import httpx
import pytest
from platform_double import ATTEMPT, TOKEN

from steps.errors import TryAgainError
from worker.door import Door, open_client
from worker.errors import AwayError, InterruptedWaitError
from worker.patience import Patience
from worker.protocol import File
from worker.transfer import Transfer

INPUTS = {"inputs/video": b"a video" * 300_000, "model/a": b"a", "model/b": b""}


@pytest.fixture
def client():
    with open_client() as client:
        yield client


@pytest.fixture
def store(platforms, client):
    platform = platforms("rendering", ["render"], INPUTS)
    door = Door(client, platform.url, ATTEMPT, TOKEN, "pod-1", "render")
    claim = door.claim(patience())
    platform.files = {file.name: file for file in claim.inputs}
    platform.transfer = Transfer(client, door, 4)
    return platform


def patience(seconds=5.0, wake=None):
    return Patience(seconds, 0.02, 0.1, wake or threading.Event())


def fetch(store, folder, waiting=None):
    return store.transfer.fetch({folder / name: file for name, file in store.files.items()}, waiting or patience())


def links(store):
    return sum(call == "links" for call, _ in store.calls)


def test_there_and_back(store, tmp_path):
    assert fetch(store, tmp_path) == sum(map(len, INPUTS.values()))
    assert {name: (tmp_path / name).read_bytes() for name in INPUTS} == INPUTS
    assert fetch(store, tmp_path) == 0 and sum(store.gets.values()) == len(INPUTS)
    sent = store.transfer.send({name: tmp_path / name for name in INPUTS if name.startswith("model/")}, patience())
    assert [file.name for file in sent] == ["model/a", "model/b"]
    assert (store.objects["/out/model/a"], store.objects["/out/model/b"]) == (b"a", b"")


def test_a_corrupt_download_is_fetched_again(store, tmp_path):
    store.fault("GET", "inputs/video", b"something else", INPUTS["inputs/video"][:-1])
    fetch(store, tmp_path)
    assert (tmp_path / "inputs/video").read_bytes() == INPUTS["inputs/video"]


def test_an_object_that_stays_corrupt(store, tmp_path):
    store.objects["/in/inputs/video"] = b"something else"
    with pytest.raises(TryAgainError) as caught:
        fetch(store, tmp_path)
    assert caught.value.code == "object_corrupt"
    assert not (tmp_path / "inputs/video").exists() and list((tmp_path / "inputs").iterdir()) == []


@pytest.mark.parametrize(("status", "code"), [(404, "object_missing"), (403, "object_refused")])
def test_an_object_that_cannot_be_had(store, tmp_path, status, code):
    store.fault("GET", "model/a", *[status] * 3)
    with pytest.raises(TryAgainError) as caught:
        fetch(store, tmp_path)
    assert caught.value.code == code


def test_expired_links_are_asked_for_anew(store, tmp_path):
    original, store._links = store._links, lambda message: expire(store, original(message))
    fetch(store, tmp_path)
    assert links(store) == 1 + len(INPUTS)
    store.transfer.send({"model/a": tmp_path / "model/a"}, patience())
    assert store.objects["/out/model/a"] == b"a"


def expire(store, answer):
    """The links of the first two answers are too old by the time they are used."""
    store.generation += links(store) in (1, 2 + len(INPUTS))
    return answer


def test_a_store_that_is_away_is_waited_for(store, tmp_path):
    store.fault("GET", "/in/", 503, (503, {"Retry-After": "0"}), 500)
    fetch(store, tmp_path)
    store.fault("PUT", "/out/", 503, 500)
    store.transfer.send({"model/a": tmp_path / "model/a"}, patience())
    store.away(60)
    with pytest.raises(AwayError):
        store.transfer.send({"model/a": tmp_path / "model/a"}, patience(0.2))


def test_a_stop_ends_the_wait(store, tmp_path):
    wake = threading.Event()
    threading.Timer(0.2, wake.set).start()
    store.fault("GET", "/in/", *[503] * 1000)
    with pytest.raises(InterruptedWaitError):
        fetch(store, tmp_path, patience(60, wake))


def test_a_name_that_leads_out_is_not_taken():
    for name in ("../secret", "/etc/passwd", "a/../b", "a//b", ".hidden", "a/.b", ""):
        with pytest.raises(ValueError, match="name"):
            File(name=name, size=0, sha256="0" * 64)


def test_this_machine_is_reached_without_a_proxy(store, monkeypatch, tmp_path):
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.delenv("no_proxy", raising=False)
    with open_client() as client:
        door = Door(client, store.url, ATTEMPT, TOKEN, "pod-1", "render")
        assert door.claim(patience(0)).kind == "rendering"
        with pytest.raises(httpx.ConnectError):
            client.get("http://elsewhere.invalid/")
