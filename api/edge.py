"""What is done around every answer: the size of bodies, headers, the access log, metrics, and errors that nobody expected."""

import logging
import time
from uuid import uuid4

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api import problems
from api.errors import BodyTooLargeError, InternalError
from api.measures import Measures

_log = logging.getLogger("api.edge")
_access = logging.getLogger("api.access")

UPLOADS = "/v1/assets"
"""Where a body may be larger: that endpoint keeps its own limit."""
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
"""Others are counted as one: a client may send any word, and each would be a series of its own for good."""


class Edge:
    """ASGI middleware, the outermost one."""

    def __init__(self, app: ASGIApp, measures: Measures, body_limit: int) -> None:
        self.app = app
        self.measures = measures
        self.body_limit = body_limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        exchange = _Exchange(scope, receive, send, None if _is_upload(scope) else self.body_limit)
        started = time.perf_counter()
        try:
            await self._answer(exchange)
        finally:
            self._note(scope, exchange.status, time.perf_counter() - started)

    async def _answer(self, exchange: "_Exchange") -> None:
        scope = exchange.scope
        try:
            if exchange.limit is not None and announced_length(scope) > exchange.limit:
                await problems.answer(BodyTooLargeError())(scope, exchange.receive, exchange.send)
                return
            await self.app(scope, exchange.receive, exchange.send)
        except ClientDisconnect:
            exchange.status = exchange.status or 499
        except Exception:
            identity = str(uuid4())
            _log.exception("%s %s failed; id %s", scope["method"], scope["path"], identity, extra={"id": identity})
            if exchange.status:
                raise  # the answer has begun: only cutting it off tells the client that it is not whole
            error = InternalError(f"{InternalError.__doc__} id: {identity}", id=identity)
            await problems.answer(error)(scope, exchange.receive, exchange.send)

    def _note(self, scope: Scope, status: int, seconds: float) -> None:
        route = getattr(scope.get("route"), "path", "unmatched")
        self.measures.answered(scope["method"] if scope["method"] in METHODS else "other", route, status, seconds)
        if route in ("/healthz", "/readyz", "/metrics") and status < 400:
            return
        fields = {
            "method": scope["method"], "path": scope["path"], "status": status, "seconds": round(seconds, 4),
            "client": (scope.get("client") or ("",))[0],
        }  # fmt: skip
        _access.info("%s %s %d", scope["method"], scope["path"], status, extra=fields)


class _Exchange:
    """One request's two ends, with the body's bytes counted and our headers added."""

    def __init__(self, scope: Scope, receive: Receive, send: Send, limit: int | None) -> None:
        self.scope = scope
        self.limit = limit
        self.status = 0
        self._receive = receive
        self._send = send
        self._received = 0

    async def receive(self) -> Message:
        message = await self._receive()
        if self.limit is not None and message["type"] == "http.request":
            self._received += len(message.get("body", b""))
            if self._received > self.limit:
                raise HTTPException(413)
        return message

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = MutableHeaders(scope=message)
            headers["X-Content-Type-Options"] = "nosniff"
            headers["Referrer-Policy"] = "no-referrer"
            if self.scope["path"].startswith("/v1/"):
                headers.setdefault("Cache-Control", "no-store")
        await self._send(message)


def _is_upload(scope: Scope) -> bool:
    form = Headers(scope=scope).get("content-type", "").lower().startswith("multipart/form-data")
    return bool(scope["method"] == "POST" and scope["path"] == UPLOADS and form)


def announced_length(scope: Scope) -> int:
    """Content-Length; 0 without one that can be read."""
    value = Headers(scope=scope).get("content-length", "")
    return int(value) if value.isascii() and value.isdigit() and len(value) < 20 else 0
