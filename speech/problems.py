"""Errors of the TTS service as RFC 9457 problems, with the codes that the command line gives, and those of the platform's API."""

import json
import logging
from http import HTTPStatus

from fastapi import FastAPI, Request
from fastapi.responses import Response
from pydantic import ValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from speech.errors import NotReady, QueueFull, TooSlow
from steps.errors import InputError, StepError

MEDIA_TYPE = "application/problem+json"
RETRY_SECONDS = 5

log = logging.getLogger(__name__)

_STATUS: dict[type[StepError], HTTPStatus] = {
    QueueFull: HTTPStatus.TOO_MANY_REQUESTS, NotReady: HTTPStatus.SERVICE_UNAVAILABLE, TooSlow: HTTPStatus.GATEWAY_TIMEOUT,
    InputError: HTTPStatus.UNPROCESSABLE_ENTITY, StepError: HTTPStatus.SERVICE_UNAVAILABLE,
}  # fmt: skip
"""The first that an error is one of."""
_CODES = {404: "route_not_found", 405: "method_not_allowed", 413: "body_too_large"}


def install(app: FastAPI) -> None:
    """Makes the application answer every error as a problem."""
    app.add_exception_handler(StepError, _step)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(ValidationError, _invalid)
    app.add_exception_handler(ClientDisconnect, _gone)
    app.add_exception_handler(Exception, _crashed)


def problem(
    status: int, code: str, detail: str, errors: list[dict[str, str]] | None = None, headers: dict[str, str] | None = None
) -> Response:
    """`errors`: every field that is wrong."""
    title = code.replace("_", " ").capitalize()
    content: dict[str, object] = {
        "type": f"urn:geneface:error:{code}", "title": title, "status": status, "detail": detail, "code": code
    }  # fmt: skip
    if errors:
        content["errors"] = errors
    # ASCII, so that nothing a client sent can keep its own error from being told.
    return Response(json.dumps(content), status, headers, MEDIA_TYPE)


def unread() -> Response:
    """For a client that has gone; nobody gets it."""
    return Response(status_code=499)


def of_step(error: StepError) -> Response:
    """The problem that tells of `error`; where another try may help, with the seconds until then."""
    status = next(status for kind, status in _STATUS.items() if isinstance(error, kind))
    seconds = error.seconds if isinstance(error, QueueFull) else RETRY_SECONDS
    later = {} if isinstance(error, InputError) else {"Retry-After": str(seconds)}
    return problem(status, error.code, error.message, headers=later)


async def _step(request: Request, error: Exception) -> Response:
    assert isinstance(error, StepError)  # noqa: S101 - registered for this alone
    return of_step(error)


async def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - registered for this alone
    phrase = HTTPStatus(error.status_code).phrase
    code = _CODES.get(error.status_code, phrase.lower().replace(" ", "_"))
    return problem(error.status_code, code, str(error.detail), headers=dict(error.headers or {}))


async def _invalid(request: Request, error: Exception) -> Response:
    """What is wrong with a body: no JSON, then an unknown field, then the first field that is wrong."""
    assert isinstance(error, ValidationError)  # noqa: S101 - registered for this alone
    found = error.errors(include_url=False, include_context=False, include_input=False)
    first = next((one for one in found if one["type"] == "extra_forbidden"), found[0])
    fields = [{"field": ".".join(map(str, one["loc"])), "message": one["msg"]} for one in found]
    name = ".".join(map(str, first["loc"]))
    if first["type"] == "json_invalid":
        return problem(400, "body_invalid", f"the body is no JSON: {first['msg']}")
    if first["type"] == "extra_forbidden":
        return problem(422, "field_unknown", f"there is no field {name!r}", fields)
    return problem(422, "field_invalid", f"{name}: {first['msg']}" if name else first["msg"], fields)


async def _gone(request: Request, error: Exception) -> Response:
    return unread()


async def _crashed(request: Request, error: Exception) -> Response:
    return problem(500, "internal_error", "something is wrong on this side; the service's log says what")
