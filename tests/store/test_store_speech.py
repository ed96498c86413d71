"""Voices that are as ready as their enrolment, and conversations built from the rows of their dialogues."""

from collections.abc import Iterator
from typing import Any
from uuid import UUID

import pytest

from store import attempts, conversations, ids, jobs, requests, voices
from store.database import Database
from store.errors import (
    ConversationBusyError,
    ConversationNotFoundError,
    VoiceExistsError,
    VoiceInUseError,
    VoiceNotFoundError,
)
from store.models import Json, Kind, Removal, Request, State, Voice, VoiceState

CONSENT = {"statement": "I agree", "by": "Ann"}


@pytest.fixture(autouse=True)
def empty(database: Database) -> Iterator[None]:
    yield
    with database.begin() as session:
        session.query(Request).delete()


def succeed(database: Database, request: UUID, result: Json) -> None:
    with database.begin() as session:
        attempt = jobs.submit(session, request, 1)
        assert attempt is not None
        attempts.claim(session, attempt.id, "run", "converse", None)
        attempts.publish_result(session, attempt.id, "run", [], lambda *_: result)


def fail(database: Database, request: UUID) -> None:
    with database.begin() as session:
        jobs.submit(session, request, 1)
        jobs.finish(session, request, 1, State.FAILED, "voice_too_short", "1 s is too short")


def enrol(database: Database, name: str, owner: str = "local") -> UUID:
    with database.begin() as session:
        voices.check_vacant(session, owner, name)
        spec: dict[str, Any] = {"inputs": []}
        request = requests.create(session, owner=owner, kind=Kind.SYNTHESIS, spec=spec, uses=[])
        voices.enrol(session, request, name, "Ann 安", CONSENT)
        return request.id


def seen(database: Database, name: str) -> voices.Enrolled:
    with database.begin() as session:
        return voices.get(session, "local", name)


def test_a_voice_is_ready_with_the_result_of_its_enrolment(database: Database) -> None:
    request = enrol(database, "ann")
    assert (seen(database, "ann").state, seen(database, "ann").reference) == (VoiceState.PENDING, None)
    reference = {"key": f"requests/{request}/1/reference.wav", "size": 3, "sha256": "ab" * 32}
    succeed(database, request, {"outputs": {"reference": reference}, "voice": {"seconds": 9.5}})
    found = seen(database, "ann")
    assert (found.state, found.reference, found.checks, found.error) == (VoiceState.READY, reference, {"seconds": 9.5}, None)
    with pytest.raises(VoiceExistsError):
        enrol(database, "ann")
    assert seen(database, "ann").request.id == request


def test_a_failed_voice_says_why_and_makes_room(database: Database) -> None:
    fail(database, enrol(database, "bob"))
    found = seen(database, "bob")
    assert (found.state, found.error) == (VoiceState.FAILED, ("voice_too_short", "1 s is too short"))
    cancelled = enrol(database, "bob")
    with database.begin() as session:
        requests.cancel(session, cancelled, "local")
    assert seen(database, "bob").error == ("cancelled", "its enrolment was cancelled")
    again = enrol(database, "bob")
    assert (seen(database, "bob").request.id, seen(database, "bob").state) == (again, VoiceState.PENDING)


def test_voices_are_their_owners(database: Database) -> None:
    enrol(database, "ann")
    hers = enrol(database, "ann", "eve")
    enrol(database, "cat")
    with database.begin() as session:
        assert [one.voice.name for one in voices.listed(session, "local")] == ["ann", "cat"]
        assert [one.voice.name for one in voices.listed(session, "local", after="ann")] == ["cat"]
        assert [one.request.id for one in voices.listed(session, "eve")] == [hers]
        with pytest.raises(VoiceNotFoundError):
            voices.get(session, "eve", "cat")


def test_deleting_a_voice_takes_its_enrolment_along(database: Database) -> None:
    request = enrol(database, "dot")
    with database.begin() as session, pytest.raises(VoiceInUseError, match=str(request)):
        voices.remove(session, "local", "dot")
    succeed(database, request, {"outputs": {}})
    with database.begin() as session:
        spoken = requests.create(session, owner="local", kind=Kind.SYNTHESIS, spec={"inputs": []}, uses=[f"request:{request}"])
    with database.begin() as session, pytest.raises(VoiceInUseError, match=str(spoken.id)):
        voices.remove(session, "local", "dot")
    with database.begin() as session:
        requests.cancel(session, spoken.id, "local")
    voice = seen(database, "dot").voice.id
    with database.begin() as session:
        voices.remove(session, "local", "dot")
    with database.begin() as session:
        assert session.get(Voice, voice) is None and session.get(Request, request) is None
        assert session.query(Removal).filter_by(prefix=f"requests/{request}/").count() == 1
        assert [event.type for event in requests.events(session, voice, "local")] == ["voice_deleted"]
        with pytest.raises(VoiceNotFoundError):
            voices.remove(session, "local", "dot")


def dialogue(database: Database, conversation: UUID, owner: str = "local") -> UUID:
    with database.begin() as session:
        return requests.create(
            session, owner=owner, kind=Kind.DIALOGUE, spec={"inputs": []}, uses=[], conversation=conversation
        ).id  # fmt: skip


def say(database: Database, conversation: UUID, number: int) -> UUID:
    request = dialogue(database, conversation)
    succeed(database, request, {"outputs": {}, "turn": {"question": f"q{number}", "reply": f"r{number}"}})
    return request


def told(database: Database, conversation: UUID, owner: str = "local") -> list[str]:
    with database.begin() as session:
        return [f"{one['role']} {one['text']}" for one in conversations.history(session, owner, conversation)]


def test_history_is_the_succeeded_turns_in_order(database: Database) -> None:
    conversation = ids.new()
    first = say(database, conversation, 1)
    fail(database, dialogue(database, conversation))
    say(database, ids.new(), 9)
    second = say(database, conversation, 2)
    assert told(database, conversation) == ["user q1", "assistant r1", "user q2", "assistant r2"]
    with database.begin() as session:
        found = conversations.turns(session, "local", conversation, 10)
        assert [(turn.request, turn.said["reply"]) for turn in found] == [(first, "r1"), (second, "r2")]
        after = conversations.turns(session, "local", conversation, 10, after=first)
        assert [turn.request for turn in after] == [second]
        assert conversations.turns(session, "eve", conversation, 10) == []


def test_of_a_long_conversation_the_last_turns_are_told(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conversations, "TURNS_TOLD", 2)
    conversation = ids.new()
    for number in range(3):
        say(database, conversation, number)
    assert told(database, conversation) == ["user q1", "assistant r1", "user q2", "assistant r2"]


def test_a_conversation_is_one_owners_and_takes_one_dialogue_at_a_time(database: Database) -> None:
    conversation = ids.new()
    with pytest.raises(ConversationNotFoundError):
        told(database, conversation)
    request = dialogue(database, conversation)
    with pytest.raises(ConversationBusyError, match=str(request)):
        told(database, conversation)
    with pytest.raises(ConversationNotFoundError):
        told(database, conversation, "eve")
    with database.begin() as session:
        assert conversations.under_way(session, "local", conversation) == request
    fail(database, request)
    assert told(database, conversation) == []
    with database.begin() as session:
        assert conversations.under_way(session, "local", conversation) is None
