"""`python -m speech serve`: speech over HTTP.

POST /tts     a text as sound, which streams while it is spoken
GET /voices   who can speak
GET /health   503 until the model is loaded
"""

import argparse
import asyncio
import base64
import binascii
import logging
import socket
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response, StreamingResponse
from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator
from starlette.exceptions import HTTPException
from starlette.types import Receive, Scope, Send

from speech import problems
from speech.desk import Desk, Order, Staff
from speech.engines import choice
from speech.engines.port import Engine
from speech.errors import EngineUnavailable, NotReady, SpeedOutOfRange, TooSlow, VoiceCloningUnavailable, VoiceUnknown
from speech.formats import FORMATS
from speech.reading.text import clauses
from speech.service_settings import ServiceSettings
from speech.synthesis import FASTEST, SLOWEST, language_of, pieces, voice_language
from steps.errors import InputError, StepError, TryAgainError
from steps.progress import Reporter

log = logging.getLogger(__name__)

HELLO = {"en": "Hello.", "zh": "你好。"}
"""What an engine speaks before it is asked, so that its first answer is no slower than the others."""


class Body(BaseModel):
    """What POST /tts takes."""

    model_config = ConfigDict(extra="forbid")

    text: str
    voice: Annotated[str, Field(min_length=1, max_length=100)] | None = Field(None, description="Default: one of the language")
    language: Annotated[str, Field(min_length=1, max_length=20)] | None = Field(None, description="Default: as the text says")
    format: Literal["wav", "mp3", "ogg"] = "wav"
    speed: float = Field(1.0, allow_inf_nan=False, description=f"{SLOWEST} to {FASTEST} times the voice's own")
    reference: bytes | None = Field(None, description="Recording of the person to be cloned, in base64; instead of `voice`")

    @field_validator("reference")
    @classmethod
    def _decoded(cls, value: bytes | None, info: ValidationInfo) -> bytes | None:
        if value is not None and info.data.get("voice") is not None:
            raise ValueError("give voice or reference, not both")
        try:
            return None if value is None else base64.b64decode(value, validate=True)
        except binascii.Error as error:
            raise ValueError(f"not base64: {error}") from None


class Service:
    """What the addresses answer."""

    def __init__(self, desk: Desk, settings: ServiceSettings) -> None:
        self.desk, self.settings = desk, settings
        self._reading = ThreadPoolExecutor(1, "reading")
        """One text at a time: the dictionaries are not made for more."""

    async def tts(self, request: Request) -> Response:
        """Answers as soon as there is sound, or a reason why there will be none."""
        body = Body.model_validate_json(await _content(request, self.settings.tts_body_limit))
        if not SLOWEST <= body.speed <= FASTEST:
            raise SpeedOutOfRange(speed=body.speed, slowest=SLOWEST, fastest=FASTEST)
        loop = asyncio.get_running_loop()
        ends = loop.time() + self.settings.tts_seconds
        with ExitStack() as kept:
            staff = kept.enter_context(self.desk.place())
            if body.reference is not None and not staff.engine.clones:
                raise VoiceCloningUnavailable(how=f"{staff.engine.name} speaks, which clones none")
            spoken = await loop.run_in_executor(self._reading, clauses, body.text, body.language)
            language = language_of(spoken)
            speaker = _speaker(body, staff, voice_language(spoken), kept)
            sound = _Sound()
            order = Order(spoken, speaker, body.speed, FORMATS[body.format], sound.put, self.settings.tts_seconds)
            kept.callback(order.cancelled.set)
            self.desk.speak(order)
            try:
                async with asyncio.timeout_at(ends):
                    there = await sound.begun(request)
            except TimeoutError:
                raise TooSlow(seconds=self.settings.tts_seconds) from None
            if not there:
                return problems.unread()
            return _Streamed(sound, kept.pop_all(), ends, order.form.content_type, _told(staff.engine, speaker, language))

    async def voices(self) -> Response:
        """Who can speak."""
        staff = self.desk.staff
        if staff is None:
            raise NotReady
        known = [{"name": one.name, "language": one.language, "gender": one.gender} for one in staff.voices]
        return JSONResponse({**_description(staff.engine), "voices": known})

    async def health(self) -> Response:
        """For probes: 200 as soon as it can speak, even while its queue is full."""
        desk = self.desk
        if desk.staff is None:
            return JSONResponse({"status": "loading"}, 503)
        queue = {"admitted": desk.admitted, "speaking": desk.speaking, "limit": desk.queue}
        return JSONResponse({"status": "ready", **_description(desk.staff.engine), "queue": queue})


class _Sound:
    """The bytes of an order, on their way from a worker's threads to the loop that answers."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._parts: asyncio.Queue[bytes | BaseException | None] = asyncio.Queue()
        self._first: bytes | None = None

    def put(self, part: bytes | BaseException | None) -> None:
        """For any thread."""
        with suppress(RuntimeError):  # the loop is closed: the service ended in the middle of a text
            self._loop.call_soon_threadsafe(self._parts.put_nowait, part)

    async def begun(self, request: Request) -> bool:
        """Waits for the first bytes; False when the client has gone. Raises what kept them from coming."""
        gone = asyncio.ensure_future(request.receive())  # the body is read: what comes now is the end of the connection
        first = asyncio.ensure_future(self._next())
        try:
            await asyncio.wait({gone, first}, return_when=asyncio.FIRST_COMPLETED)
            if first.done():
                self._first = first.result()
            return first.done()
        finally:
            gone.cancel()
            first.cancel()

    async def parts(self) -> AsyncIterator[bytes]:
        """All of them. Raises what went wrong on the way."""
        part = self._first
        while part is not None:
            yield part
            part = await self._next()

    async def _next(self) -> bytes | None:
        part = await self._parts.get()
        if isinstance(part, BaseException):
            raise part
        return part


class _Streamed(StreamingResponse):
    """Gives back what was `kept` for it, however it ends. What goes wrong now can only be told by cutting it off."""

    def __init__(self, sound: _Sound, kept: ExitStack, ends: float, content_type: str, headers: dict[str, str]) -> None:
        super().__init__(sound.parts(), media_type=content_type, headers=headers)
        self._kept, self._ends = kept, ends

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with self._kept:
            try:
                async with asyncio.timeout_at(self._ends):
                    await super().__call__(scope, receive, send)
            except Exception as error:  # uvicorn closes the connection of an answer that has no end
                why = "it took too long" if isinstance(error, TimeoutError) else error
                log.error("an answer was cut off: %s", why, exc_info=not isinstance(error, StepError | TimeoutError))


async def _content(request: Request, limit: int) -> bytes:
    content = bytearray()
    async for part in request.stream():
        content += part
        if len(content) > limit:
            raise HTTPException(413, f"the body has more than {limit} bytes")
    return bytes(content)


def _speaker(body: Body, staff: Staff, language: str, kept: ExitStack) -> str | Path:
    """The reference as a file that is `kept`, the voice, or the language's own. Raises VoiceUnknown."""
    if body.reference is not None:
        file = kept.enter_context(tempfile.NamedTemporaryFile(prefix="reference-"))  # noqa: SIM115 - `kept` closes it
        file.write(body.reference)
        file.flush()
        return Path(file.name)
    if body.voice is None:
        return choice.voice(staff.engine, language)
    if body.voice not in [one.name for one in staff.voices]:
        raise VoiceUnknown(voice=body.voice)
    return body.voice


def _description(engine: Engine) -> dict[str, Any]:
    return {
        "engine": engine.name, "rate": engine.rate, "languages": sorted(engine.languages), "clones": engine.clones,
        "terms": engine.terms, "formats": list(FORMATS),
    }  # fmt: skip


def _told(engine: Engine, speaker: str | Path, language: str) -> dict[str, str]:
    """What the answer's headers say about its sound."""
    told = {"Engine": engine.name, "Language": language, "Voice": "reference" if isinstance(speaker, Path) else speaker}
    if engine.terms:
        told["Terms"] = engine.terms
    return {f"Speech-{name}": value.encode("ascii", "replace").decode() for name, value in told.items()}


def create(load: Callable[[], Engine], settings: ServiceSettings, failed: Callable[[], None]) -> FastAPI:
    """The application; `app.state.desk` is its desk. `failed` is called when `load` raised."""
    desk = Desk(load, settings.tts_workers, settings.tts_queue, failed)
    service = Service(desk, settings)

    @asynccontextmanager
    async def life(app: FastAPI) -> AsyncIterator[None]:
        desk.start()
        yield
        await asyncio.to_thread(desk.close)

    app = FastAPI(title="Speech", lifespan=life, docs_url=None, redoc_url=None)
    app.state.desk = desk
    problems.install(app)
    content = {"application/json": {"schema": Body.model_json_schema()}}
    app.post("/tts", response_class=Response, openapi_extra={"requestBody": {"required": True, "content": content}})(service.tts)
    app.get("/voices", response_class=Response)(service.voices)
    app.get("/health", response_class=Response)(service.health)
    return app


def options(parser: argparse.ArgumentParser) -> None:
    """Of the command line."""
    parser.add_argument("--host", help="address to listen on; default: GENEFACE_TTS_HOST, 127.0.0.1")
    parser.add_argument("--port", type=int, help="default: GENEFACE_TTS_PORT, 8010; 0: any that is free")


def command(arguments: argparse.Namespace, reporter: Reporter) -> dict[str, Any]:
    """Serves until SIGTERM or Ctrl-C, then finishes what was begun.

    Raises InputError `settings_invalid`, TryAgainError `address_in_use`, and what keeps the engine from loading.
    """
    settings = _settings(arguments)
    logging.basicConfig(level=logging.WARNING, handlers=[_Lines(reporter)], force=True)
    listener = _listener(settings)
    reporter.message(f"listening on http://{settings.tts_host}:{listener.getsockname()[1]}")
    server: uvicorn.Server

    def failed() -> None:
        server.should_exit = True

    app = create(partial(_loaded, reporter), settings, failed)
    server = uvicorn.Server(
        uvicorn.Config(
            app, log_config=None, access_log=False, server_header=False, lifespan="on", timeout_keep_alive=75,
            timeout_graceful_shutdown=settings.tts_drain_seconds,
        )
    )  # fmt: skip
    server.run(sockets=[listener])
    if app.state.desk.failure:
        raise app.state.desk.failure
    return {"spoken": app.state.desk.spoken}


class _Lines(logging.Handler):
    """Other libraries' warnings, as lines of ours."""

    def __init__(self, reporter: Reporter) -> None:
        super().__init__()
        self._reporter = reporter

    def emit(self, record: logging.LogRecord) -> None:
        self._reporter.message(self.format(record), record.levelname.lower(), logger=record.name)


def _settings(arguments: argparse.Namespace) -> ServiceSettings:
    given = {"tts_host": arguments.host, "tts_port": arguments.port}
    try:
        return ServiceSettings(**{name: value for name, value in given.items() if value is not None})
    except ValidationError as error:
        wrong = [f"GENEFACE_{'.'.join(map(str, one['loc'])).upper()}: {one['msg']}" for one in error.errors()]
        raise InputError("settings_invalid", "; ".join(wrong)) from None


def _listener(settings: ServiceSettings) -> socket.socket:
    family = socket.AF_INET6 if ":" in settings.tts_host else socket.AF_INET
    try:
        listener = socket.create_server((settings.tts_host, settings.tts_port), family=family)
    except OSError as error:
        where = f"{settings.tts_host}:{settings.tts_port}"
        raise TryAgainError("address_in_use", f"cannot listen on {where}: {error.strerror}") from None
    # Its connections inherit it: without it a clause's last bytes may wait for the client's acknowledgement.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener


def _loaded(reporter: Reporter) -> Engine:
    """An engine that has spoken once in each language. Raises EngineUnavailable, and what `choice.found` raises."""
    started = time.monotonic()
    engine = choice.found()
    if engine.name == "http":  # it might ask itself
        raise EngineUnavailable(engine=engine.name, how="the service speaks itself; set GENEFACE_TTS_ENGINE to kokoro or xtts")
    for language, text in HELLO.items():
        for _ in pieces(clauses(text, language), engine, choice.voice(engine, language)):
            pass
    reporter.message(f"{engine.name} is loaded", seconds=round(time.monotonic() - started, 1))
    return engine
