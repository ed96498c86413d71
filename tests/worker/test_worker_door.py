"""The door: what is waited out, what is an exception, what is never believed."""

import threading
import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import httpx
import pytest
from platform_double import ATTEMPT, TOKEN

from worker import words
from worker.control import Control
from worker.door import Door, open_client
from worker.errors import AttemptFinalError, AttemptOwnedError, AttemptStaleError, AwayError, RefusedError
from worker.patience import Patience, retry_after


@pytest.fixture
def door(platforms):
    platform = platforms("rendering", ["render"], {"inputs/audio": b"sound"})
    with open_client() as client:
        door = Door(client, platform.url + "/", ATTEMPT, TOKEN, "pod-1", "render")
        door.platform = platform
        door.client = client
        yield door


def patience(seconds=5.0):
    return Patience(seconds, 0.02, 0.1, threading.Event())


def test_silence_is_waited_out(door):
    door.platform.fault("POST", "claim", 500, 502, 503, 429, 408, b"<html>a proxy's page</html>", b"{}")
    claim = door.claim(patience())
    assert (claim.attempt, claim.input("inputs/audio").size) == (2, 5)


def test_a_server_that_is_not_there_yet(door):
    port = door.platform.port
    door.platform.close()
    threading.Timer(0.3, door.platform.start, [port]).start()
    assert door.claim(patience()).kind == "rendering"


def test_retry_after_is_honoured(door):
    door.platform.fault("POST", "claim", (503, {"Retry-After": "1"}))
    began = time.monotonic()
    door.claim(patience())
    assert time.monotonic() - began >= 1


def test_retry_after_in_its_two_forms():
    def asked(value):
        return retry_after(httpx.Response(503, headers={"Retry-After": value}))

    assert asked("120") == 120
    assert 50 < asked(format_datetime(datetime.now(UTC) + timedelta(seconds=60), usegmt=True)) <= 60
    assert asked("soon") is None and retry_after(httpx.Response(503)) is None


def test_the_deadline_counts_from_the_first_silence(door):
    door.platform.away(60)
    waiting = patience(0.3)
    time.sleep(0.4)
    began = time.monotonic()
    with pytest.raises(AwayError, match="claim"):
        door.claim(waiting)
    assert 0.25 < time.monotonic() - began < 2


def test_refusals(door):
    platform = door.platform
    platform.owner = "pod-0"
    with pytest.raises(AttemptOwnedError):
        door.claim(patience())
    for state, kind in (("final", AttemptFinalError), ("stale", AttemptStaleError)):
        platform.state = state
        with pytest.raises(kind, match="in words"):
            door.claim(patience())
    platform.state = "running"
    platform._fence = lambda *_: "asset_changed"
    with pytest.raises(RefusedError) as caught:
        door.claim(patience())
    assert words.of_error(caught.value) == (64, "asset_changed", "asset_changed, in words")
    platform.fault("POST", "claim", 404)
    with pytest.raises(RefusedError) as caught:
        door.claim(patience())
    assert (caught.value.status, caught.value.code) == (404, "refused")
    stranger = Door(door.client, platform.url, ATTEMPT, "a wrong token", "pod-1", "render")
    with pytest.raises(RefusedError) as caught:
        stranger.claim(patience())
    assert caught.value.code == "token_invalid"


def test_control_keeps_the_first_cause():
    control = Control(grace=0.2)
    heard = []
    with control.on_end(lambda: heard.append("inside")):
        control.stop("stopped by SIGTERM")
        control.abandon(AttemptStaleError(409, "attempt_stale", "late"))
    with control.on_end(lambda: heard.append("after")):
        pass
    assert heard == ["inside", "after"]
    assert str(control.cause) == "stopped by SIGTERM" and control.abandoned.is_set()


def test_the_grace_ends():
    control = Control(grace=0.1)
    control.stop("enough")
    assert not control.abandoned.is_set()
    assert control.abandoned.wait(2)
