"""`Idempotency-Key`: a POST that is sent again gets the first answer, and what it asks for happens once.

The answer is kept in the commit of what was asked for, so that neither is there without the other, and last: of two requests with
one key, the second waits there for the first, undoes what it did, and gives the first one's answer. Refusals are not kept: after
one, the key is free.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Annotated, Any

import psycopg
from fastapi import Header
from fastapi.responses import Response
from pydantic import BaseModel
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from api.errors import IdempotencyInFlightError, IdempotencyKeyReusedError
from api.platform import Platform
from store import idempotency
from store.models import IdempotencyKey

Key = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key", min_length=1, max_length=255, pattern="^[!-~]+$",
        description="Printable ASCII. Sent again within 24 h with the same body, the first answer comes again",
    ),
]  # fmt: skip


@dataclass(frozen=True)
class Answer:
    """An answer that can be kept."""

    status: int
    body: BaseModel
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Posting:
    """A POST: its key, and what tells its body from another."""

    key: str | None
    digest: str


def posting(key: str | None, path: str, body: Any) -> Posting:
    """`body`: what JSON can say. The same body in other spacing or order is the same body."""
    return Posting(key, sha256(json.dumps([path, body], sort_keys=True).encode()).hexdigest())


def replayed(session: Session, platform: Platform, post: Posting) -> Response | None:
    """The first answer, if this was answered before. Raises IdempotencyKeyReusedError."""
    row = None if post.key is None else idempotency.find(session, platform.owner, post.key)
    return None if row is None else _replay(row, post)


def once(platform: Platform, post: Posting, action: Callable[[Session], Answer]) -> Response:
    """Does `action` in one transaction with the key. Raises IdempotencyKeyReusedError, IdempotencyInFlightError."""
    try:
        with platform.database.begin() as session:
            answer = action(session)
            body = answer.body.model_dump_json()
            if post.key is not None:
                _keep(session, platform.owner, post.key, post.digest, answer, body)
    except _AnsweredError as error:
        with platform.database.look() as session:
            if first := replayed(session, platform, post):
                return first
        raise IdempotencyInFlightError from error
    return _response(answer.status, body, answer.headers)


class _AnsweredError(Exception):
    """Another request with the same key was faster; what this one did is undone."""


def _keep(session: Session, owner: str, key: str, digest: str, answer: Answer, body: str) -> None:
    # As text: jsonb would change the order of the fields, and the second answer should be the first, byte for byte.
    row = IdempotencyKey(
        owner=owner, key=key, body_sha256=digest, status=answer.status, headers=answer.headers, body={"text": body}
    )
    try:
        kept = idempotency.keep(session, row)
    except OperationalError as error:
        if isinstance(error.orig, psycopg.errors.LockNotAvailable):
            raise IdempotencyInFlightError from error
        raise
    if not kept:
        raise _AnsweredError


def _replay(row: IdempotencyKey, post: Posting) -> Response:
    if row.body_sha256 != post.digest:
        raise IdempotencyKeyReusedError
    if row.status is None or row.body is None:
        raise IdempotencyInFlightError
    return _response(row.status, str(row.body["text"]), dict(row.headers or {}))


def _response(status: int, body: str, headers: dict[str, str]) -> Response:
    return Response(body, status, headers, "application/json")
