"""Identifiers and tokens."""

from uuid import UUID

from store import ids, tokens


def test_ids_are_uuid7_and_sort_by_time() -> None:
    made = [ids.new() for _ in range(3)]
    assert all(one.version == 7 and one.variant == "specified in RFC 4122" for one in made)
    assert (made[0].int >> 80) <= (made[-1].int >> 80)


def test_ids_of_one_millisecond_sort_too(monkeypatch):
    moments = iter(range(1_790_000_000_123_000_000, 1_790_000_000_124_000_000, 1_000))
    monkeypatch.setattr(ids.time, "time_ns", lambda: next(moments))
    made = [ids.new() for _ in range(1000)]
    assert made == sorted(made) and {one.version for one in made} == {7}


def test_a_token_is_good_for_its_attempt_and_key() -> None:
    attempt = ids.new()
    token = tokens.sign(attempt, "k" * 32)
    assert tokens.verify(token, ["k" * 32]) == attempt
    assert tokens.verify(token, ["new" * 11, "k" * 32]) == attempt, "an old key counts while it is being changed"
    assert tokens.verify(token, ["other" * 8]) is None
    assert tokens.verify(f"{UUID(int=1)}.{token.partition('.')[2]}", ["k" * 32]) is None
    assert tokens.verify("nonsense", ["k" * 32]) is None
