"""Errors as RFC 9457 problems: from exception to answer, and how they stand in the OpenAPI document."""

import json
import logging
from http import HTTPStatus
from typing import Any

import psycopg
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from minio.error import MinioException
from pydantic import BaseModel, Field
from sqlalchemy.exc import ProgrammingError
from starlette.exceptions import HTTPException
from urllib3.exceptions import HTTPError

from api import errors
from store import database
from store.errors import ObjectNotRemovedError, StoreError
from store.logs import first_line

_log = logging.getLogger("api.problems")

MEDIA_TYPE = "application/problem+json"
STORAGE_AWAY = (HTTPError, MinioException, ObjectNotRemovedError)
AWAY = (*database.AWAY, *STORAGE_AWAY)
"""What is raised when a server that the API needs is away; all of it passes."""

Docs = dict[int | str, dict[str, Any]]


class FieldProblem(BaseModel):
    """One field that is wrong."""

    field: str = Field(description="Where it is, e.g. `consent.by`")
    message: str


class Problem(BaseModel):
    """What went wrong (RFC 9457)."""

    type: str = Field(description="`urn:geneface:error:` and the code")
    title: str = Field(description="The code's own sentence")
    status: int
    detail: str = Field(description="What is wrong here, for a person")
    code: str = Field(description="Stable; for programs")
    errors: list[FieldProblem] | None = Field(None, description="Every field that is wrong, for 422")
    id: str | None = Field(None, description="Under which the log has more, for 500")


def documented(*refusals: errors.Refusal, body: bool = False) -> Docs:
    """`responses` of an endpoint that may refuse so; what every endpoint may answer is added."""
    always: list[errors.Refusal] = [
        errors.InternalError, errors.DatabaseUnavailableError, errors.FieldInvalidError, errors.OwnerMissingError,
    ]  # fmt: skip
    if body:
        always += [errors.BodyInvalidError, errors.BodyTooLargeError, errors.FieldUnknownError]
    grouped: dict[int, list[errors.Entry]] = {}
    for one in sorted({errors.entry(refusal) for refusal in (*refusals, *always)}, key=lambda one: (one.status, one.code)):
        grouped.setdefault(one.status, []).append(one)
    return {status: _documented(found) for status, found in grouped.items()}


def _documented(found: list[errors.Entry]) -> dict[str, Any]:
    examples = {one.code: {"summary": one.title, "value": _content(one, one.title)} for one in found}
    content = {"schema": {"$ref": "#/components/schemas/Problem"}, "examples": examples}
    return {"description": ", ".join(f"`{one.code}`" for one in found), "content": {MEDIA_TYPE: content}}


def answer(error: errors.ApiError | StoreError) -> Response:
    """The problem that tells of `error`."""
    if isinstance(error, errors.ApiError):
        return _answer(errors.entry(type(error)), error.detail, error.headers, error.more)
    return _answer(errors.entry(type(error)), error.message, {}, {})


def install(app: FastAPI) -> None:
    """Makes the application answer every error as a problem."""
    app.add_exception_handler(errors.ApiError, _refused)
    app.add_exception_handler(StoreError, _refused)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(ProgrammingError, _programming)
    for kind in AWAY:
        app.add_exception_handler(kind, _away)


def invalid(found: list[Any]) -> errors.ApiError:
    """What is wrong with a body, as pydantic lists it: an unknown field first, then the first one that is wrong."""
    fields = [{"field": _path(one["loc"]), "message": one["msg"]} for one in found]
    for one in found:
        if one["type"] == "json_invalid":
            return errors.BodyInvalidError(f"the body is no JSON: {one.get('ctx', {}).get('error', one['msg'])}")
        if one["type"] == "extra_forbidden":
            return errors.FieldUnknownError(f"there is no field {_path(one['loc'])!r}", errors=fields)
    first, path = found[0], _path(found[0]["loc"])
    kind = _by_field(first, path)
    if kind is not errors.FieldInvalidError:
        return kind(errors=fields)
    return kind(f"{path}: {first['msg']}" if path else str(first["msg"]), errors=fields)


_BY_PLACE: dict[tuple[str, str], type[errors.ApiError]] = {
    ("text", "text_empty"): errors.TextEmptyError,
    ("text", "string_too_short"): errors.TextEmptyError,
    ("text", "string_too_long"): errors.TextTooLongError,
    ("language", "literal_error"): errors.LanguageUnsupportedError,
}
"""What a field is refused with, by pydantic's type of the error."""


def _by_field(error: Any, path: str) -> type[errors.ApiError]:
    if path == "consent" or path.startswith("consent."):
        return errors.ConsentRequiredError
    if path == "epochs":
        return errors.EpochsInvalidError
    if path in ("avatar", "name") and error["type"].startswith("string_"):
        return errors.NameInvalidError
    return _BY_PLACE.get((path, error["type"]), errors.FieldInvalidError)


def _path(location: tuple[Any, ...]) -> str:
    inner = location[1:] if location and location[0] in ("body", "query", "path", "header") else location
    return ".".join(map(str, inner))


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, errors.ApiError | StoreError)  # noqa: S101 - registered for these alone
    return answer(error)


async def _invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101 - registered for this alone
    return answer(invalid(list(error.errors())))


async def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - registered for this alone
    kinds: dict[int, type[errors.ApiError]] = {
        400: errors.BodyInvalidError,
        404: errors.RouteNotFoundError,
        405: errors.MethodNotAllowedError,
        413: errors.BodyTooLargeError,
    }
    kind = kinds.get(error.status_code)
    if kind is not None:
        return answer(kind(headers=dict(error.headers or {})))
    phrase = HTTPStatus(error.status_code).phrase
    found = errors.Entry(error.status_code, phrase.lower().replace(" ", "_"), phrase)
    return _answer(found, str(error.detail), dict(error.headers or {}), {})


async def _programming(request: Request, error: Exception) -> Response:
    if isinstance(getattr(error, "orig", None), psycopg.errors.UndefinedTable | psycopg.errors.UndefinedColumn):
        return answer(errors.SchemaOutdatedError())
    raise error


async def _away(request: Request, error: Exception) -> Response:
    _log.warning("%s %s: %s", request.method, request.url.path, first_line(error))
    return answer(away(error))


def away(error: Exception) -> errors.ApiError:
    """Which server is away."""
    return errors.DatabaseUnavailableError() if isinstance(error, database.AWAY) else errors.StorageUnavailableError()


def _content(found: errors.Entry, detail: str) -> dict[str, Any]:
    title = found.title
    return {
        "type": f"urn:geneface:error:{found.code}", "title": title, "status": found.status, "detail": detail, "code": found.code
    }  # fmt: skip


def _answer(found: errors.Entry, detail: str, headers: dict[str, str], more: dict[str, Any]) -> Response:
    # ASCII, so that nothing a client sent can keep its own error from being told.
    text = json.dumps({**_content(found, detail), **more})
    return Response(text, found.status, headers, MEDIA_TYPE)
