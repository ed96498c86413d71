"""Requests as their owner sees them, and the controller's guarded writes."""

from collections.abc import Iterator
from uuid import UUID

import pytest

from store import jobs, requests
from store.database import Database
from store.errors import NotFoundError
from store.models import Kind, State


def rendering(database: Database, owner: str = "local", uses: list[str] | None = None) -> UUID:
    with database.begin() as session:
        return requests.create(session, owner=owner, kind=Kind.RENDERING, spec={"inputs": []}, uses=uses or []).id


def test_pages_show_each_request_once_and_only_the_owners(database: Database) -> None:
    made = [rendering(database, "pages") for _ in range(7)]
    rendering(database, "somebody-else")
    seen, cursor = [], None
    while True:
        with database.begin() as session:
            page = requests.page(session, owner="pages", limit=3, cursor=cursor)
        seen += [row.id for row in page.items]
        rendering(database, "pages")  # newer ones do not shift the pages
        if (cursor := page.cursor) is None:
            break
    assert seen == made[::-1]


def test_another_owner_sees_nothing(database: Database) -> None:
    request = rendering(database)
    with database.begin() as session, pytest.raises(NotFoundError):
        requests.get(session, request, "somebody-else")


@pytest.mark.parametrize("before", ["queued", "submitted", "cancelled"])
def test_cancel(database: Database, before: str) -> None:
    request = rendering(database)
    if before == "submitted":
        with database.begin() as session:
            jobs.submit(session, request, 1)
    if before == "cancelled":
        with database.begin() as session:
            requests.cancel(session, request, "local")
    with database.begin() as session:
        row = requests.cancel(session, request, "local")
        assert row.state == (State.SUBMITTED if before == "submitted" else State.CANCELLED)
        assert row.cancel_requested_at is not None
        kinds = [event.type for event in requests.events(session, request, "local")]
    assert kinds.count("cancelled") == (before != "submitted")


def test_submit_happens_once(database: Database) -> None:
    request = rendering(database)
    with database.begin() as session:
        assert jobs.submit(session, request, 1) is not None
    with database.begin() as session:
        assert jobs.submit(session, request, 1) is None
        assert jobs.submit(session, request, 2) is None, "it is not queued any more"


def test_a_final_state_never_changes(database: Database) -> None:
    request = rendering(database)
    with database.begin() as session:
        jobs.submit(session, request, 1)
    with database.begin() as session:
        assert jobs.finish(session, request, 1, State.FAILED, "no_face_detected", "There is no face.")
    with database.begin() as session:
        assert not jobs.finish(session, request, 1, State.CANCELLED, None, None)
        assert not jobs.requeue(session, request, 1, counted=True, code="x", message="x", next_try_at=None)
        assert requests.cancel(session, request, "local").state == State.FAILED


def test_what_is_used_is_known(database: Database) -> None:
    request = rendering(database, "uses", ["asset:1", "request:2"])
    with database.begin() as session:
        assert requests.users(session, "uses", ["request:2", "asset:9"]) == [request]
        assert requests.users(session, "uses", ["asset:9"]) == []
        requests.cancel(session, request, "uses")
        assert requests.users(session, "uses", ["asset:1"]) == []


def test_a_change_is_hinted_at(database: Database) -> None:
    hints: Iterator[UUID | None] = database.hints(timeout=5)
    assert next(hints) is None, "the first one says: listening"
    request = rendering(database)
    assert next(hints) == request
