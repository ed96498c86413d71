"""Who is next: fair between owners, within a GPU class."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import delete
from sqlalchemy.orm import Session

from store import queue, requests
from store.database import Database
from store.models import Attempt, Kind, Request, State


@pytest.fixture
def session(database: Database) -> Iterator[Session]:
    """One in whose eyes nothing was ever asked."""
    with database.begin() as session:
        session.execute(delete(Attempt))
        session.execute(delete(Request))
        yield session
        session.rollback()


def asked(session: Session, owner: str, gpu: str | None = None, state: State = State.QUEUED) -> Request:
    request = requests.create(session, owner=owner, kind=Kind.RENDERING, spec={"gpu": gpu}, uses=[])
    request.state = state
    session.flush()
    return request


def places(session: Session, *made: Request) -> list[int | None]:
    found = queue.places(session, [one.id for one in made], datetime.now(UTC))
    return [found.get(one.id) for one in made]


def test_one_owner_is_served_in_the_order_of_asking(session: Session) -> None:
    assert places(session, *[asked(session, "ann") for _ in range(3)]) == [1, 2, 3]


def test_an_owner_who_asks_for_much_does_not_keep_another_waiting(session: Session) -> None:
    many = [asked(session, "ann") for _ in range(4)]
    assert places(session, *many, asked(session, "bob")) == [1, 3, 4, 5, 2]


def test_what_is_at_work_counts(session: Session) -> None:
    for _ in range(2):
        asked(session, "ann", state=State.RUNNING)
    made = [asked(session, "ann"), *[asked(session, "bob") for _ in range(3)]]
    assert places(session, *made) == [3, 1, 2, 4]
    assert queue.at_work(session) == {("ann", None): 2}


def test_a_place_is_counted_within_a_gpu_class(session: Session) -> None:
    made = [asked(session, "ann", "big"), asked(session, "ann", "small"), asked(session, "bob", "big"), asked(session, "bob")]
    assert places(session, *made) == [1, 1, 2, 1]
    assert [one.gpu for one in queue.waiting(session, datetime.now(UTC))] == ["big", "big", "small", None]


def test_what_waits_for_its_next_try_stands_in_no_queue(session: Session) -> None:
    now = datetime.now(UTC)
    later = asked(session, "ann")
    later.next_try_at = now + timedelta(seconds=60)
    session.flush()
    assert places(session, later, asked(session, "ann")) == [None, 1]
    assert queue.waiting(session, now + timedelta(seconds=61))[0].id == later.id
