"""Zhipu's SDK against a real server on this machine, in all its moods."""

import socket
import threading
import time

import pytest
from glm_server import ANSWERS, KEY, GlmServer, serving

from speech.errors import (
    ReplyEmpty,
    ReplyFailed,
    ReplyInterrupted,
    ReplyKeyMissing,
    ReplyKeyRefused,
    ReplyMisconfigured,
    ReplyModerated,
    ReplyQuota,
    ReplyRateLimited,
    ReplyRefused,
    ReplyTimeout,
)
from speech.refusal import refusal
from speech.reply import MOST_CHARACTERS, MOST_TOKENS, SYSTEM_PROMPT, ReplyModel, ReplySettings, Turn
from steps.errors import Exit, StepError

QUESTION = [Turn("user", "How are you?")]


@pytest.fixture(autouse=True)
def _bare(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("API_KEY", "MODEL", "BASE_URL"):
        monkeypatch.delenv(f"ZHIPU_{name}", raising=False)
    monkeypatch.setattr("speech.reply.PAUSE", 0.05)


def model(server: GlmServer, **settings: object) -> ReplyModel:
    return ReplyModel(ReplySettings(api_key=KEY, base_url=server.base_url, **settings))


def no_thread_left(seconds: float) -> None:
    """Waits until nothing is being read any more."""
    deadline = time.monotonic() + seconds
    while any(thread.name == "reply" for thread in threading.enumerate()):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def failure(mode: str, **settings: object) -> tuple[StepError, str, GlmServer]:
    """How a question fails in a mode, what was heard until then, and the server that was asked."""
    heard = ""
    with serving(mode) as server, pytest.raises(StepError) as caught:
        for piece in model(server, **settings).stream(QUESTION):
            heard += piece
    assert KEY not in caught.value.message
    assert KEY.partition(".")[2] not in caught.value.message
    return caught.value, heard, server


@pytest.mark.parametrize(("question", "language"), [("How are you?", "en"), ("你好吗？", "zh")])
def test_an_answer_comes_in_pieces(question: str, language: str) -> None:
    with serving() as server:
        answer = model(server).stream([Turn("user", question)])
        pieces = list(answer)
    assert "".join(pieces) == ANSWERS[language]
    assert len(pieces) > 5
    assert not answer.cut
    assert len(server.asked) == 1


def test_the_request_holds_the_conversation_and_asks_for_no_thoughts() -> None:
    turns = [Turn("user", "One?"), Turn("assistant", "Two."), Turn("user", "Three?")]
    with serving() as server:
        list(model(server, model="some-model").stream(turns))
        list(model(server).stream(turns, "You are a nurse."))
        list(model(server).stream(turns, " "))
    first, second, third = server.asked
    said = [{"role": "user", "content": "One?"}, {"role": "assistant", "content": "Two."}, {"role": "user", "content": "Three?"}]
    assert first["messages"] == [{"role": "system", "content": SYSTEM_PROMPT}, *said]
    assert second["messages"][0] == {"role": "system", "content": "You are a nurse."}
    assert third["messages"] == said
    assert (first["model"], second["model"]) == ("some-model", "glm-4-flashx")
    assert first["stream"] is True
    assert first["max_tokens"] == MOST_TOKENS
    assert first["thinking"] == {"type": "disabled"}


def test_the_first_piece_comes_before_the_last_is_written() -> None:
    with serving(pace=0.05) as server:
        answer = model(server).stream(QUESTION)
        started = time.monotonic()
        next(answer)
        first = time.monotonic() - started
        list(answer)
        assert first < (time.monotonic() - started) / 3


def test_the_model_writes_on_while_nobody_reads() -> None:
    with serving(pace=0.01) as server:
        answer = model(server).stream(QUESTION)
        text = next(answer)
        no_thread_left(60)
        assert answer.written == len(ANSWERS["en"])
        answer._call._until = 0.0  # who reads late still gets what was written in time
        assert text + "".join(answer) == ANSWERS["en"]


@pytest.mark.parametrize("mode", ["thinking", "tagged"])
def test_thoughts_are_not_spoken(mode: str) -> None:
    with serving(mode) as server:
        assert "".join(model(server).stream(QUESTION)).strip() == ANSWERS["en"]


@pytest.mark.parametrize("mode", ["500_once", "429_once"])
def test_it_tries_once_more_before_the_answer_began(mode: str) -> None:
    with serving(mode) as server:
        assert "".join(model(server).stream(QUESTION)) == ANSWERS["en"]
    assert len(server.asked) == 2


@pytest.mark.parametrize(
    ("mode", "kind", "tries"),
    [
        ("401", ReplyKeyRefused, 1), ("429_balance", ReplyQuota, 1), ("429_rate", ReplyRateLimited, 2), ("400", ReplyRefused, 1),
        ("404_html", ReplyRefused, 1), ("echo_key", ReplyRefused, 1), ("500", ReplyFailed, 2), ("drop", ReplyFailed, 2),
        ("garbage", ReplyFailed, 2), ("moderated", ReplyModerated, 1), ("empty", ReplyEmpty, 1), ("only_thoughts", ReplyEmpty, 1),
    ],
)  # fmt: skip
def test_a_failure_before_the_answer(mode: str, kind: type[StepError], tries: int) -> None:
    error, heard, server = failure(mode)
    assert type(error) is kind
    assert heard == ""
    assert len(server.asked) == tries


@pytest.mark.parametrize(
    ("mode", "kind"),
    [
        ("cut", ReplyInterrupted), ("cut_cleanly", ReplyInterrupted), ("network_error", ReplyInterrupted),
        ("garbage_in_the_middle", ReplyInterrupted), ("error_in_the_middle", ReplyFailed), ("stalled", ReplyTimeout),
        ("moderated_in_the_middle", ReplyModerated),
    ],
)  # fmt: skip
def test_a_failure_in_the_middle_is_not_asked_again(mode: str, kind: type[StepError]) -> None:
    error, heard, server = failure(mode, first_token_seconds=1)
    assert type(error) is kind
    assert ANSWERS["en"].startswith(heard)
    assert len(server.asked) == 1


@pytest.mark.parametrize("mode", ["slow", "pinging", "silent_beginning"])
def test_no_first_word_in_time(mode: str) -> None:
    started = time.monotonic()
    error, heard, server = failure(mode, first_token_seconds=0.4)
    assert isinstance(error, ReplyTimeout)
    assert "begin to answer within 0.4 s" in error.message
    assert heard == ""
    assert len(server.asked) == 2
    assert time.monotonic() - started < 15


def test_an_answer_that_takes_too_long_as_a_whole() -> None:
    with serving(pace=0.1) as server, pytest.raises(ReplyTimeout, match=r"finish its answer within 0\.7 s"):
        list(model(server, answer_seconds=0.7).stream(QUESTION))


@pytest.mark.parametrize("mode", ["pinging", "stalled", "slow"])
def test_no_thread_stays_behind(mode: str) -> None:
    failure(mode, first_token_seconds=0.4)
    no_thread_left(5)


def test_who_stops_listening_hangs_up() -> None:
    with serving(pace=0.02, answer=ANSWERS["en"] * 30) as server:
        answer = model(server).stream(QUESTION)
        next(answer)
        answer.close()
        assert server.hung_up.wait(5)


@pytest.mark.parametrize("mode", ["long", "endless"])
def test_an_answer_that_is_too_long_says_so(mode: str) -> None:
    with serving(mode) as server:
        answer = model(server).stream(QUESTION)
        assert len("".join(answer)) <= MOST_CHARACTERS + 3
    assert answer.cut


def test_chunks_of_other_shapes_are_passed_over() -> None:
    with serving("odd_shapes") as server:
        assert "".join(model(server).stream(QUESTION)) == ANSWERS["en"]


def test_nobody_there() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    settings = ReplySettings(api_key=KEY, base_url=f"http://user:password@127.0.0.1:{port}/v1")
    with pytest.raises(ReplyFailed) as caught:
        list(ReplyModel(settings).stream(QUESTION))
    assert caught.value.message == f"127.0.0.1:{port} cannot answer (ConnectError)."


def test_a_proxy_is_not_asked_about_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    with serving() as server:
        assert "".join(model(server).stream(QUESTION)) == ANSWERS["en"]


@pytest.mark.parametrize(
    ("key", "kind"),
    [
        (None, ReplyKeyMissing), (" \n", ReplyKeyMissing), ("sec ret", ReplyKeyRefused), ("schlüssel", ReplyKeyRefused),
        ("a\nb", ReplyKeyRefused),
    ],
)  # fmt: skip
def test_no_key_that_could_be_sent(key: str | None, kind: type[StepError], monkeypatch: pytest.MonkeyPatch) -> None:
    if key is not None:
        monkeypatch.setenv("ZHIPU_API_KEY", key)
    with pytest.raises(kind) as caught:
        ReplyModel.from_environment()
    assert caught.value.exit_code == Exit.INPUT
    assert not (key and key.strip()) or key not in caught.value.message


def test_the_environment_names_key_model_and_server(monkeypatch: pytest.MonkeyPatch) -> None:
    with serving() as server:
        monkeypatch.setenv("ZHIPU_API_KEY", f"{KEY}\n")
        monkeypatch.setenv("ZHIPU_MODEL", "other")
        monkeypatch.setenv("ZHIPU_BASE_URL", f"{server.base_url}/")
        found = ReplyModel.from_environment()
        assert "".join(found.stream(QUESTION)) == ANSWERS["en"]
    assert found.name == server.asked[0]["model"] == "other"
    assert KEY not in repr(found)


def test_wrong_settings_are_named_without_their_values(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZHIPU_API_KEY", KEY)
    monkeypatch.setenv("ZHIPU_BASE_URL", "nonsense")
    monkeypatch.setenv("ZHIPU_ANSWER_SECONDS", "-1")
    with pytest.raises(ReplyMisconfigured, match=r"ZHIPU_BASE_URL: .*ZHIPU_ANSWER_SECONDS: ") as caught:
        ReplyModel.from_environment()
    assert KEY not in caught.value.message
    assert "nonsense" not in caught.value.message


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (401, None, ReplyKeyRefused), (403, {"error": "no"}, ReplyKeyRefused), (429, {"error": {"code": 1112}}, ReplyKeyRefused),
        (402, None, ReplyQuota), (429, {"error": {"code": None, "type": "insufficient_quota"}}, ReplyQuota),
        (429, {"error": {"code": "1308", "message": "until 5 pm"}}, ReplyQuota), (429, None, ReplyRateLimited),
        (400, {"error": {"code": "content_filter"}}, ReplyModerated), (400, {"code": 1301, "msg": "?"}, ReplyModerated),
        (408, None, ReplyFailed), (503, "<html>", ReplyFailed), (200, {"error": {"code": "9999"}}, ReplyFailed),
        (404, {"detail": "Not Found"}, ReplyRefused), (301, None, ReplyRefused), (400, {"error": [1]}, ReplyRefused),
    ],
)  # fmt: skip
def test_refusals_by_status_and_code(status: int, body: object, kind: type[StepError]) -> None:
    assert type(refusal("host", status, body, KEY)) is kind


def test_a_servers_words_are_short_and_hold_no_control_characters() -> None:
    said = refusal("host", 400, {"error": {"message": f"a\x1b[31m\n{KEY} {{x}} " + "b" * 500}}, KEY).message
    assert said.startswith("host refuses the request (HTTP 400): a [31m … {x} bbb")
    assert len(said) < 250
    assert said.isprintable()


def test_exit_codes() -> None:
    again = {ReplyRateLimited, ReplyTimeout, ReplyInterrupted, ReplyFailed, ReplyEmpty}
    never = {ReplyKeyMissing, ReplyKeyRefused, ReplyQuota, ReplyModerated, ReplyRefused, ReplyMisconfigured}
    assert {kind.exit_code for kind in again} == {Exit.TRY_AGAIN}
    assert {kind.exit_code for kind in never} == {Exit.INPUT}
