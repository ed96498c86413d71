"""Leadership: one at a time, handed over, taken over, and given up."""

import threading
import time
from collections.abc import Iterator

import pytest

from controller.lease import Lease, Terms
from tests.controller import api_double
from tests.controller.api_double import ApiDouble, Call, eventually

PATH = "/apis/coordination.k8s.io/v1/namespaces/ns/leases"
TERMS = Terms(duration=2.0, renew=0.3, give_up=1.2, retry=0.1)


@pytest.fixture
def double() -> Iterator[ApiDouble]:
    with api_double.running() as double:
        yield double


class Candidate:
    """A process that wants to lead, as a thread."""

    def __init__(self, double: ApiDouble, identity: str) -> None:
        self.stop = threading.Event()
        self.lost = threading.Event()
        self.leads = threading.Event()
        self.api = double.api()
        self.lease = Lease(self.api, "ns", "geneface", identity, self.lost.set, TERMS)
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self) -> None:
        if self.lease.acquire(self.stop):
            self.leads.set()

    def die(self) -> None:
        """As kill -9: nothing more is written."""
        self.lease._released.set()


def holder(double: ApiDouble) -> str:
    return str(double.objects[f"{PATH}/geneface"]["spec"]["holderIdentity"])


def test_the_first_leads_and_keeps_leading(double: ApiDouble) -> None:
    one = Candidate(double, "one")
    assert one.leads.wait(5)
    two = Candidate(double, "two")
    assert not two.leads.wait(2 * TERMS.duration)
    assert holder(double) == "one"
    assert not one.lost.is_set()
    two.stop.set()
    one.lease.release()


def test_two_that_start_at_once_make_one_leader(double: ApiDouble) -> None:
    candidates = [Candidate(double, str(number)) for number in range(5)]
    eventually(lambda: any(one.leads.is_set() for one in candidates))
    time.sleep(1.0)
    assert sum(one.leads.is_set() for one in candidates) == 1
    for one in candidates:
        one.stop.set()


def test_a_released_lease_is_taken_at_once(double: ApiDouble) -> None:
    one = Candidate(double, "one")
    assert one.leads.wait(5)
    two = Candidate(double, "two")
    time.sleep(0.5)
    began = time.monotonic()
    one.lease.release()
    assert two.leads.wait(5)
    assert time.monotonic() - began < TERMS.duration / 2
    two.lease.release()


def test_a_dead_leader_is_replaced_after_the_duration_and_not_before(double: ApiDouble) -> None:
    one = Candidate(double, "one")
    assert one.leads.wait(5)
    two = Candidate(double, "two")
    time.sleep(0.5)
    one.die()
    began = time.monotonic()
    assert two.leads.wait(10)
    assert TERMS.duration - 2 * TERMS.renew <= time.monotonic() - began <= TERMS.duration + 2
    assert double.objects[f"{PATH}/geneface"]["spec"]["leaseTransitions"] == 1
    two.lease.release()


def test_anothers_clock_does_not_matter(double: ApiDouble) -> None:
    """A leader whose clock is a year behind is alive as long as its Lease changes."""
    double.put(
        PATH, "geneface", spec={"holderIdentity": "old", "renewTime": "2020-01-01T00:00:00.000000Z", "leaseDurationSeconds": 2}
    )
    two = Candidate(double, "two")
    until = time.monotonic() + 1.5 * TERMS.duration
    while time.monotonic() < until:
        double.put(PATH, "geneface")
        assert not two.leads.is_set()
        time.sleep(0.2)
    assert two.leads.wait(10)
    two.lease.release()


def test_who_cannot_renew_gives_up_before_another_may_lead(double: ApiDouble) -> None:
    one = Candidate(double, "one")
    assert one.leads.wait(5)

    def broken(call: Call) -> bool:
        if call.command != "PUT":
            return False
        call.refuse(500)
        return True

    began = time.monotonic()
    double.fail(broken, times=1000)
    assert one.lost.wait(5)
    assert time.monotonic() - began < TERMS.duration


def test_a_server_that_hangs_counts_as_not_renewed(double: ApiDouble) -> None:
    one = Candidate(double, "one")
    assert one.leads.wait(5)

    def hangs(call: Call) -> bool:
        time.sleep(5)
        return True

    double.fail(hangs, times=1000)
    began = time.monotonic()
    assert one.lost.wait(5)
    assert time.monotonic() - began < TERMS.duration + TERMS.renew


def test_one_failed_renewal_is_borne(double: ApiDouble) -> None:
    one = Candidate(double, "one")
    assert one.leads.wait(5)

    def broken(call: Call) -> bool:
        if call.command != "PUT":
            return False
        call.refuse(503)
        return True

    double.fail(broken, times=2)
    time.sleep(TERMS.duration)
    assert not one.lost.is_set()
    one.lease.release()


def test_a_label_put_on_it_by_somebody_does_not_end_the_leader(double: ApiDouble) -> None:
    one = Candidate(double, "one")
    assert one.leads.wait(5)
    double.put(PATH, "geneface", metadata={"labels": {"looked": "at"}})
    time.sleep(TERMS.duration)
    assert not one.lost.is_set()
    one.lease.release()


@pytest.mark.parametrize("how", ["taken", "deleted"])
def test_a_lease_that_another_holds_or_nobody_ends_the_leader(double: ApiDouble, how: str) -> None:
    one = Candidate(double, "one")
    assert one.leads.wait(5)
    if how == "taken":
        double.put(PATH, "geneface", spec={"holderIdentity": "two"})
    else:
        double.remove(PATH, "geneface")
    assert one.lost.wait(5)
    one.lease.release()
    assert how == "deleted" or holder(double) == "two"
