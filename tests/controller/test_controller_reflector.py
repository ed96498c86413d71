"""The copy of the cluster's objects, under all that an API server and the way to it can do."""

import time
from collections.abc import Iterator
from uuid import UUID

import pytest

from controller.kube_api import Raw
from controller.observed import REQUEST_LABEL
from controller.reflector import Pace, Reflector
from tests.controller import api_double
from tests.controller.api_double import ApiDouble, Call, eventually

JOBS = "/apis/batch/v1/namespaces/ns/jobs"
REQUEST = UUID(int=7)
LABELS = {"labels": {REQUEST_LABEL: str(REQUEST)}}
QUICK = Pace(page=2, watch=1, silence=1.5, relist=3600, backoff=0.01, backoff_longest=0.05)


@pytest.fixture
def double() -> Iterator[ApiDouble]:
    with api_double.running() as double:
        yield double


class Watched:
    """A reflector and what it said."""

    def __init__(self, double: ApiDouble, pace: Pace = QUICK) -> None:
        self.changes: list[str] = []
        self.reflector = Reflector(double.api(), JOBS, "a=b", lambda raw: raw, self._note, pace)

    def _note(self, raw: Raw) -> None:
        self.changes.append(raw["metadata"]["name"])

    def names(self) -> set[str]:
        return {raw["metadata"]["name"] for raw in self.reflector.all()}

    def __enter__(self) -> "Watched":
        self.reflector.start()
        assert self.reflector.wait(5)
        return self

    def __exit__(self, *_: object) -> None:
        self.reflector.stop()


def lists(double: ApiDouble) -> int:
    """How many lists were begun."""
    return sum("watch" not in query and "continue" not in query for _, path, query in double.calls if path == JOBS)


def test_it_lists_in_pages_and_asks_for_its_labels_and_bookmarks(double: ApiDouble) -> None:
    for number in range(5):
        double.put(JOBS, f"job-{number}", metadata=LABELS)
    with Watched(double) as watched:
        assert watched.names() == {f"job-{number}" for number in range(5)}
        eventually(lambda: any("watch" in query for _, _, query in double.calls))
    queries = [query for _, path, query in double.calls if path == JOBS]
    assert all(query["labelSelector"] == "a=b" for query in queries)
    assert [query.get("continue") for query in queries[:3]] == [None, "2", "4"]
    watch = next(query for query in queries if "watch" in query)
    assert watch["allowWatchBookmarks"] == "true"
    assert watch["timeoutSeconds"] == "1"


def test_it_hears_of_what_comes_changes_and_goes(double: ApiDouble) -> None:
    with Watched(double) as watched:
        double.put(JOBS, "one", metadata=LABELS)
        eventually(lambda: watched.names() == {"one"})
        assert watched.reflector.of(REQUEST) == watched.reflector.all()
        double.put(JOBS, "one", status={"active": 1})
        eventually(lambda: (watched.reflector.get("one") or {}).get("status") == {"active": 1})
        double.remove(JOBS, "one")
        eventually(lambda: watched.names() == set())
        assert watched.reflector.of(REQUEST) == []
    assert watched.changes == ["one", "one", "one"]


def test_the_end_of_a_watch_begins_another_where_it_stood(double: ApiDouble) -> None:
    with Watched(double) as watched:
        double.put(JOBS, "one")
        eventually(lambda: sum("watch" in query for *_, query in double.calls) >= 3)
        double.put(JOBS, "two")
        eventually(lambda: watched.names() == {"one", "two"})
    assert lists(double) == 1


@pytest.mark.parametrize("within", [True, False], ids=["inside the watch", "as an answer"])
def test_410_gone_leads_to_a_new_list(double: ApiDouble, within: bool) -> None:
    def gone(call: Call) -> bool:
        if not call.watching:
            return False
        if within:
            call.begin_stream()
            call.stream({"type": "ERROR", "object": {"kind": "Status", "code": 410, "reason": "Expired", "message": "too old"}})
            call.end_stream()
        else:
            call.refuse(410, "Expired")
        return True

    double.fail(gone)
    with Watched(double) as watched:
        double.put(JOBS, "one")
        eventually(lambda: watched.names() == {"one"})
    assert lists(double) == 2


def test_410_in_the_middle_of_a_list_begins_it_again(double: ApiDouble) -> None:
    for number in range(5):
        double.put(JOBS, f"job-{number}")

    def expired(call: Call) -> bool:
        if call.query.get("continue") != "2":
            return False
        call.refuse(410, "Expired")
        return True

    double.fail(expired)
    with Watched(double) as watched:
        assert len(watched.names()) == 5


@pytest.mark.parametrize("status", [403, 429, 500, 503])
def test_a_refusal_is_borne_with_a_pause_and_no_hot_loop(double: ApiDouble, status: int) -> None:
    def refuse(call: Call) -> bool:
        if not call.watching:
            return False
        call.refuse(status)
        return True

    double.fail(refuse, times=4)
    with Watched(double) as watched:
        double.put(JOBS, "one")
        eventually(lambda: watched.names() == {"one"})
    assert lists(double) == 1


def test_the_server_says_when_to_come_back(double: ApiDouble) -> None:
    def busy(call: Call) -> bool:
        call.refuse(429, "TooManyRequests", **{"Retry-After": "1"})
        return True

    double.fail(busy)
    began = time.monotonic()
    with Watched(double):
        assert time.monotonic() - began >= 1.0


def test_a_half_open_connection_is_given_up_and_the_watch_goes_on(double: ApiDouble) -> None:
    def silent(call: Call) -> bool:
        if not call.watching:
            return False
        call.begin_stream()
        time.sleep(3.0)  # headers, and then nothing
        return True

    double.fail(silent)
    with Watched(double) as watched:
        double.put(JOBS, "one")
        eventually(lambda: watched.names() == {"one"}, 8.0)
    assert lists(double) == 1


def test_a_connection_that_breaks_off_in_a_line_loses_nothing(double: ApiDouble) -> None:
    def broken(call: Call) -> bool:
        if not call.watching:
            return False
        call.begin_stream()
        call.wfile.write(b'20\r\n{"type": "MODIFIED", "obj')
        call.close_connection = True
        return True

    double.fail(broken)
    with Watched(double) as watched:
        double.put(JOBS, "one")
        eventually(lambda: watched.names() == {"one"})


def test_a_watch_that_ends_at_once_is_not_asked_in_a_hot_loop(double: ApiDouble) -> None:
    def empty(call: Call) -> bool:
        if not call.watching:
            return False
        call.begin_stream()
        call.end_stream()
        return True

    double.fail(empty, times=1000)
    with Watched(double):
        time.sleep(1.5)
    assert sum("watch" in query for *_, query in double.calls) <= 3


def test_what_is_told_twice_or_late_changes_nothing(double: ApiDouble) -> None:
    with Watched(double) as watched:
        first = double.put(JOBS, "one", status={"active": 1})
        second = double.put(JOBS, "one", status={"succeeded": 1})
        double.tell("MODIFIED", JOBS, first)
        double.tell("MODIFIED", JOBS, second)
        double.put(JOBS, "mark")
        eventually(lambda: "mark" in watched.names())
        assert (watched.reflector.get("one") or {})["status"] == {"succeeded": 1}
        double.remove(JOBS, "one")
        double.tell("MODIFIED", JOBS, second)
        double.put(JOBS, "mark 2")
        eventually(lambda: "mark 2" in watched.names())
        assert "one" not in watched.names()


def test_a_stale_list_neither_takes_away_nor_brings_back(double: ApiDouble) -> None:
    with Watched(double, Pace(page=10, watch=1, silence=1.5, relist=0, backoff=0.01)) as watched:
        old = double.put(JOBS, "old", status={})
        double.put(JOBS, "old", status={"succeeded": 1})
        double.put(JOBS, "new")
        eventually(lambda: watched.names() == {"old", "new"})
        served: list[int] = []

        def stale(call: Call) -> bool:
            if call.watching or call.resource != JOBS:
                return False
            served.append(1)
            call.answer(200, {"metadata": {"resourceVersion": old["metadata"]["resourceVersion"]}, "items": [old]})
            return True

        double.fail(stale, times=2)
        eventually(lambda: len(served) == 2)
        assert watched.names() == {"old", "new"}
        assert (watched.reflector.get("old") or {})["status"] == {"succeeded": 1}


def test_a_server_restored_from_a_backup_is_believed(double: ApiDouble) -> None:
    with Watched(double, Pace(page=10, watch=1, silence=1.5, relist=0, backoff=0.01)) as watched:
        double.put(JOBS, "kept", status={"active": 1})
        double.put(JOBS, "lost")
        eventually(lambda: watched.names() == {"kept", "lost"})
        with double.lock:
            double.objects.pop(f"{JOBS}/lost")
            double.version = 50
        double.put(JOBS, "kept", event="none", status={"active": 0})
        eventually(lambda: watched.names() == {"kept"})
        eventually(lambda: (watched.reflector.get("kept") or {})["status"] == {"active": 0})


def test_what_a_watch_did_not_tell_the_next_list_does(double: ApiDouble) -> None:
    with Watched(double, Pace(page=10, watch=1, silence=1.5, relist=0.5, backoff=0.01)) as watched:
        double.put(JOBS, "one")
        eventually(lambda: watched.names() == {"one"})
        double.remove(JOBS, "one", quietly=True)
        eventually(lambda: watched.names() == set())


def test_own_writes_are_seen_at_once_and_outlive_an_older_list(double: ApiDouble) -> None:
    with Watched(double) as watched:
        raw = double.put(JOBS, "one", event="none", metadata=LABELS)
        watched.reflector.saw(raw)
        assert watched.names() == {"one"}
        watched.reflector.forget("one", raw["metadata"]["uid"])
        assert watched.names() == set()
        double.tell("MODIFIED", JOBS, double.put(JOBS, "one"))  # late news of what we deleted
        double.put(JOBS, "mark")
        eventually(lambda: watched.names() == {"mark"})


def test_its_age_says_how_long_nothing_was_heard(double: ApiDouble) -> None:
    def away(call: Call) -> bool:
        call.close_connection = True
        return True

    with Watched(double) as watched:
        assert watched.reflector.age() < 2
        double.fail(away, times=10_000)
        eventually(lambda: watched.reflector.age() > 2.5)
        double.faults.clear()
        eventually(lambda: watched.reflector.age() < 1)
