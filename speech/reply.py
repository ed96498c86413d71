"""A language model answers, piece by piece: Zhipu's GLM by Zhipu's own SDK, or any server that speaks OpenAI's protocol."""

import queue
import time
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from json import JSONDecodeError
from threading import Thread
from typing import Any, Literal, Self
from urllib.parse import urlsplit

import httpx
from pydantic import Field, HttpUrl, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict
from zai import ZhipuAiClient
from zai.core import APIResponseError, APIStatusError

from speech.errors import (
    ReplyEmpty,
    ReplyFailed,
    ReplyInterrupted,
    ReplyKeyMissing,
    ReplyKeyRefused,
    ReplyMisconfigured,
    ReplyModerated,
    ReplyTimeout,
    ServiceError,
)
from speech.refusal import refusal
from speech.sentences import without
from steps.errors import StepError
from steps.program import check_stop

SYSTEM_PROMPT = (
    "You are talking with a person, and what you write is spoken aloud to them. Answer in the language of their question. "
    "Be brief: one to five short sentences, the answer first. Write plain sentences only: no lists, headings, markdown, tables, "
    "code, links or emoji."
)
MOST_TOKENS = 480
"""Of an answer: about 750 Chinese characters or 360 English words, which take three minutes to say."""
MOST_CHARACTERS = 4_000
"""Of an answer from a server that does not heed `MOST_TOKENS`: the rest is not read."""
TRIES = 2
PAUSE, LONGEST_PAUSE = 1.0, 10.0
"""Seconds before the second try: by default, and at most when the server names them (Retry-After)."""

_LOOK = 0.1
"""Seconds between two looks at the clock and at SIGTERM while nothing comes."""
_FULL = frozenset({"length", "model_context_window_exceeded"})
_OBJECTIONABLE = frozenset({"sensitive", "content_filter"})


class ReplySettings(BaseSettings):
    """Settings of the language model, each from the environment variable `ZHIPU_<NAME>`."""

    model_config = SettingsConfigDict(
        env_prefix="ZHIPU_", env_ignore_empty=True, hide_input_in_errors=True, extra="ignore", frozen=True
    )

    api_key: SecretStr | None = Field(None, description="Key of the language model; without it nothing answers questions")
    model: str = Field("glm-4-flashx", description="Name of the language model")
    base_url: HttpUrl = Field(
        HttpUrl("https://open.bigmodel.cn/api/paas/v4"), description="Zhipu's server, or any other that speaks OpenAI's protocol"
    )
    connect_seconds: float = Field(5, gt=0, description="Seconds in which the language model's server takes a connection")
    first_token_seconds: float = Field(20, gt=0, description="Seconds in which it begins to answer, and goes on after a pause")
    answer_seconds: float = Field(120, gt=0, description="Seconds in which its answer is whole")

    @property
    def host(self) -> str:
        """The server's name for people, without credentials."""
        address = urlsplit(str(self.base_url))
        return f"{address.hostname}:{address.port}" if address.port else str(address.hostname)

    @property
    def key(self) -> str:
        """The key itself. Raises ReplyKeyMissing, and ReplyKeyRefused when it is none that could be sent."""
        key = self.api_key.get_secret_value().strip() if self.api_key else ""
        if not key:
            raise ReplyKeyMissing
        if not (key.isascii() and key.isprintable() and " " not in key):
            raise ReplyKeyRefused(host="No server", reason="it holds characters that no key has")
        return key


@dataclass(frozen=True)
class Turn:
    """What one side of a conversation said."""

    role: Literal["user", "assistant"]
    text: str


@dataclass(frozen=True)
class ReplyModel:
    """The language model that is set up here."""

    settings: ReplySettings

    @classmethod
    def from_environment(cls) -> Self:
        """Raises ReplyKeyMissing, ReplyKeyRefused, ReplyMisconfigured. Nothing is sent yet."""
        try:
            settings = ReplySettings()
        except ValidationError as error:
            wrong = error.errors(include_input=False, include_context=False, include_url=False)
            problems = "; ".join(f"ZHIPU_{'.'.join(map(str, item['loc'])).upper()}: {item['msg']}" for item in wrong)
            raise ReplyMisconfigured(problems=problems) from None
        _ = settings.key
        return cls(settings)

    @property
    def name(self) -> str:
        """As the server knows it."""
        return self.settings.model

    def stream(self, turns: Sequence[Turn], system_prompt: str = SYSTEM_PROMPT) -> "Answer":
        """The answer to the last of the turns, as it comes."""
        messages = [{"role": "system", "content": system_prompt}] if system_prompt.strip() else []
        return Answer(self.settings, [*messages, *({"role": turn.role, "content": turn.text} for turn in turns)])


class Answer(Iterator[str]):
    """Pieces of an answer, without the model's thoughts. The request is made when the first is asked for, and once more when the
    server fails before it began to answer.

    Raises, while it is read: ReplyKeyRefused, ReplyQuota, ReplyModerated, ReplyRefused, and, worth another try, ReplyRateLimited,
    ReplyTimeout, ReplyInterrupted, ReplyFailed, ReplyEmpty; StoppedError after SIGTERM.
    """

    def __init__(self, settings: ReplySettings, messages: list[dict[str, str]]) -> None:
        self.cut = False
        """Whether the answer would have been longer than it may be."""
        self._settings, self._messages = settings, messages
        self._call: _Call | None = None
        self._pieces = self._spoken()

    def __next__(self) -> str:
        return next(self._pieces)

    @property
    def written(self) -> int:
        """Characters that the model has written so far; more than were handed out."""
        return self._call.written if self._call else 0

    def close(self) -> None:
        """Hangs up."""
        self._pieces.close()

    def _spoken(self) -> Generator[str]:
        some = False
        for piece in without(self._written(), "<think>", "</think>"):
            some = some or bool(piece.strip())
            yield piece
        if not some:
            raise ReplyEmpty(host=self._settings.host)

    def _written(self) -> Iterator[str]:
        until = time.monotonic() + self._settings.answer_seconds
        for attempt in range(1, TRIES + 1):
            self._call = call = _Call(self._settings, self._messages, until)
            try:
                yield from call.pieces()
            except ServiceError:
                if call.began or attempt == TRIES or time.monotonic() + call.pause >= until:
                    raise
            else:
                self.cut = call.cut
                return
            finally:
                call.close()
            _wait(call.pause)


class _Call:
    """One request. A thread reads what comes, so that the model writes on while the beginning is being spoken."""

    def __init__(self, settings: ReplySettings, messages: list[dict[str, str]], until: float) -> None:
        self.began = self.cut = False
        self.written = 0
        self.pause = PAUSE
        self._settings, self._messages, self._until = settings, messages, until
        self._started = time.monotonic()
        self._arrived: queue.SimpleQueue[str | Exception | None] = queue.SimpleQueue()
        self._response: httpx.Response | None = None
        self._closed = False
        Thread(target=self._read, name="reply", daemon=True).start()

    def close(self) -> None:
        """Hangs up; the thread ends at the latest after `first_token_seconds`."""
        self._closed = True
        if self._response is not None:
            self._response.close()

    def pieces(self) -> Iterator[str]:
        """What was written so far and what is still being written. Raises as `Answer`."""
        while True:
            check_stop()
            try:
                arrived = self._arrived.get(timeout=_LOOK)
            except queue.Empty:
                self._look_at_clock()
                continue
            if arrived is None:
                return
            if isinstance(arrived, Exception):
                raise self._cause(arrived) from None
            yield arrived

    def _look_at_clock(self) -> None:
        now, settings = time.monotonic(), self._settings
        if now > self._until:
            raise ReplyTimeout(host=settings.host, what="finish its answer", seconds=settings.answer_seconds)
        if not self.began and now > self._started + settings.first_token_seconds:
            raise ReplyTimeout(host=settings.host, what="begin to answer", seconds=settings.first_token_seconds)

    def _read(self) -> None:
        """The thread. All that goes wrong is handed to who reads the pieces."""
        try:
            with httpx.Client(trust_env=not _loopback(str(self._settings.base_url.host))) as http:
                self._take(self._ask(http))
        except Exception as error:
            self._arrived.put(error)
        else:
            self._arrived.put(None)

    def _ask(self, http: httpx.Client) -> Iterator[Any]:
        settings = self._settings
        client = ZhipuAiClient(
            api_key=settings.key,
            base_url=str(settings.base_url),
            timeout=httpx.Timeout(settings.first_token_seconds, connect=settings.connect_seconds),
            max_retries=0,
            http_client=http,
        )
        stream = client.chat.completions.create(
            model=settings.model, messages=self._messages, stream=True, max_tokens=MOST_TOKENS, thinking={"type": "disabled"}
        )
        self._response = stream.response
        return iter(stream)

    def _take(self, stream: Iterator[Any]) -> None:
        """Puts the text of the chunks into the queue until one says that it is the last."""
        for chunk in stream:
            if self._closed:
                return
            if time.monotonic() > self._until:
                raise ReplyTimeout(host=self._settings.host, what="finish its answer", seconds=self._settings.answer_seconds)
            content, thought, finish = _parts(chunk)
            self.began = self.began or bool(content or thought or finish)
            if content:
                self._arrived.put(content)
                self.written += len(content)
            if finish in _OBJECTIONABLE:
                raise ReplyModerated(host=self._settings.host)
            if finish == "network_error":
                raise ReplyInterrupted(host=self._settings.host, reason="its own network failed")
            if finish or self.written > MOST_CHARACTERS:
                self.cut = not finish or finish in _FULL
                return
        raise httpx.RemoteProtocolError("the connection was closed before the end")

    def _cause(self, error: Exception) -> StepError:
        """Which of our errors it is that `_read` met with."""
        settings, host = self._settings, self._settings.host
        # Of a connection that failed the SDK's error says nothing: what httpx met with is its cause.
        cause = error.__cause__ if isinstance(error, APIResponseError) and error.__cause__ else error
        found: StepError
        if isinstance(cause, StepError):
            found = cause
        elif isinstance(cause, APIStatusError):
            self.pause = _retry_after(cause.response)
            found = refusal(host, cause.status_code, _json(cause.response), settings.key)
        elif isinstance(cause, APIResponseError):
            found = refusal(host, 200, {"error": cause.json_data}, settings.key)
        elif isinstance(cause, httpx.ConnectTimeout):
            found = ReplyTimeout(host=host, what="take the connection", seconds=settings.connect_seconds)
        elif isinstance(cause, httpx.TimeoutException):
            what = "go on with its answer" if self.began else "begin to answer"
            found = ReplyTimeout(host=host, what=what, seconds=settings.first_token_seconds)
        elif isinstance(cause, httpx.HTTPError | httpx.StreamError | OSError | ValueError):
            reason = "it sends what is no JSON" if isinstance(cause, JSONDecodeError) else type(cause).__name__
            found = (ReplyInterrupted if self.began else ReplyFailed)(host=host, reason=reason)
        else:
            raise error
        return found


def _parts(chunk: Any) -> tuple[str, str, str]:
    """Text, thought and reason to end of a chunk of the stream; empty where it has none, or another shape than it should."""
    choices = getattr(chunk, "choices", None)
    choice = choices[0] if isinstance(choices, list) and choices else None
    delta = getattr(choice, "delta", None)
    found = (getattr(delta, "content", None), getattr(delta, "reasoning_content", None), getattr(choice, "finish_reason", None))
    content, thought, finish = (value if isinstance(value, str) else "" for value in found)
    return content, thought, finish


def _loopback(host: str) -> bool:
    """Whether `host` is this machine, which no proxy reaches."""
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def _json(response: httpx.Response) -> object:
    try:
        return response.json()
    except ValueError:
        return None


def _retry_after(response: httpx.Response) -> float:
    """Seconds that the server asks for, as far as they are bearable."""
    named = response.headers.get("retry-after", "")
    return min(float(named), LONGEST_PAUSE) if named.isdecimal() else PAUSE


def _wait(seconds: float) -> None:
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0:
        check_stop()
        time.sleep(min(_LOOK, left))
