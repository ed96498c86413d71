"""Two controllers, of which one leads; and controllers that die at any moment under a load of requests."""

import os
import signal
import time
from collections import Counter
from collections.abc import Callable

import pytest

from controller.kube_api import KubeApi, namespaced
from tests.apiserver.conftest import Platform
from tests.apiserver.node import Node
from tests.apiserver.test_apiserver_main_job import left


def leader(admin: KubeApi, namespace: str) -> str:
    lease = admin.call("GET", namespaced("apis/coordination.k8s.io/v1", namespace, "leases", "geneface-controller"))
    return str(lease["spec"]["holderIdentity"])


def test_two_replicas_and_one_leads(platform: Callable[..., Platform], node: Node, admin: KubeApi, namespace: str) -> None:
    one = platform(controllers=0)
    first = one.controller(GENEFACE_IDENTITY="first")
    one.wait(lambda: "this controller leads" in one.story(), 20, "a leader")
    one.controller(GENEFACE_IDENTITY="second")
    one.wait(lambda: "another controller leads" in one.story(), 20, "the second to stand by")
    assert leader(admin, namespace) == "first"
    one.avatar("ann")

    began = time.monotonic()
    first.send_signal(signal.SIGTERM)
    one.wait(lambda: leader(admin, namespace) == "second", 10, "the second to lead")
    assert time.monotonic() - began < 3
    assert first.wait(20) == 0
    assert one.final(one.rendering("ann"))["state"] == "succeeded"


def test_the_leader_is_killed(platform: Callable[..., Platform], node: Node, admin: KubeApi, namespace: str) -> None:
    one = platform(controllers=0)
    first = one.controller(GENEFACE_IDENTITY="first")
    one.wait(lambda: "this controller leads" in one.story(), 20, "a leader")
    one.controller(GENEFACE_IDENTITY="second")
    one.wait(lambda: "another controller leads" in one.story(), 20, "the second to stand by")
    request = one.training("ann")
    began = time.monotonic()
    first.kill()
    one.wait(lambda: leader(admin, namespace) == "second", 25, "the second to lead")
    assert time.monotonic() - began < 20
    assert one.final(request)["state"] == "succeeded"


def storm(one: Platform, node: Node, admin: KubeApi, requests: int, kills: int) -> None:
    """Renderings at once, controllers killed in between: one result each, no orphan."""
    video, audio = one.asset(os.urandom(2000)), one.asset(os.urandom(2000), "a.wav")
    assert video
    one.avatar("ann")
    body = {"avatar": "ann", "audio": {"asset": audio}}
    asked = [one.post("/v1/renderings", body)["id"] for _ in range(requests)]
    for _ in range(kills):
        done = sum(one.get(request)["state"] == "succeeded" for request in asked)
        one.wait(lambda done=done: sum(one.get(r)["state"] == "succeeded" for r in asked) >= done + requests // 8, 120, "results")
        one.running[-1].kill()
        one.controller(GENEFACE_IDENTITY="the only one")  # the same name: nobody waits for the dead one's Lease
    finals = [one.final(request, 300) for request in asked]
    assert Counter(final["state"] for final in finals) == {"succeeded": requests}
    assert all(final["attempt"] == 1 for final in finals)
    started = Counter(node.runs[f"render {request}"] for request in asked)
    assert started == {1: requests}
    one.wait(lambda: not left(admin, one.namespace), 60, f"no orphan; left: {left(admin, one.namespace)[:5]}")


def test_a_storm_of_requests_and_a_dying_controller(
    platform: Callable[..., Platform], node: Node, admin: KubeApi, namespace: str
) -> None:
    one = platform(controllers=0)
    one.controller(GENEFACE_IDENTITY="the only one")
    storm(one, node, admin, requests=12, kills=2)


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("_round", range(10))
def test_ten_storms_of_fifty(platform: Callable[..., Platform], node: Node, admin: KubeApi, _round: int) -> None:
    one = platform(controllers=0)
    one.controller(GENEFACE_IDENTITY="the only one")
    storm(one, node, admin, requests=50, kills=2)
