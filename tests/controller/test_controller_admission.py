"""Which of the waiting requests may have a Job now."""

from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from controller.admission import Caps, admit
from store.queue import Waiting


def waiting(*owners_and_classes: str) -> list[Waiting]:
    """One request for each "owner" or "owner:class", who is next first."""
    parts = [text.partition(":") for text in owners_and_classes]
    return [Waiting(UUID(int=n), owner, gpu or None, n) for n, (owner, _, gpu) in enumerate(parts, start=1)]


def ids(*numbers: int) -> list[UUID]:
    return [UUID(int=number) for number in numbers]


def test_as_many_as_there_is_room_for() -> None:
    assert admit(waiting("ann", "bob", "ann"), {("ann", None): 3}, Caps(total=5)) == ids(1, 2)


def test_no_owner_has_more_at_work_than_the_limit() -> None:
    assert admit(waiting("ann", "ann", "bob"), {("ann", None): 1}, Caps(total=10, per_owner=2)) == ids(1, 3)


def test_a_busy_class_holds_up_nobody_who_wants_another() -> None:
    caps = Caps(10, per_gpu={"big": 2, "small": 1})
    assert admit(waiting("ann:big", "ann:big", "ann:small", "ann"), {("bob", "big"): 1}, caps) == ids(1, 3, 4)


requests = st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from([None, "big", "small"])), max_size=30)
counts = st.dictionaries(
    st.tuples(st.sampled_from("abcd"), st.sampled_from([None, "big", "small"])), st.integers(0, 4), max_size=6
)


@given(requests, counts, st.integers(0, 12), st.integers(1, 4), st.integers(0, 5))
def test_no_limit_is_ever_passed_and_no_room_is_left_unused(
    asked: list[tuple[str, str | None]], at_work: dict[tuple[str, str | None], int], total: int, per_owner: int, big: int
) -> None:
    queue = [Waiting(UUID(int=n), owner, gpu, n) for n, (owner, gpu) in enumerate(asked, start=1)]
    admitted = admit(queue, at_work, Caps(total, per_owner, {"big": big}))
    running = dict(at_work)
    for one in queue:
        if one.id in admitted:
            running[one.owner, one.gpu] = running.get((one.owner, one.gpu), 0) + 1

    def count(owner: str | None = None, gpu: str = "") -> int:
        return sum(n for (o, g), n in running.items() if (owner is None or o == owner) and (not gpu or g == gpu))

    for one in queue:
        full = (count() >= total, count(one.owner) >= per_owner, one.gpu == "big" and count(gpu="big") >= big)
        over = (count() > total, count(one.owner) > per_owner, one.gpu == "big" and count(gpu="big") > big)
        assert not any(over) if one.id in admitted else any(full)
