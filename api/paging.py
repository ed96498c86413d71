"""Pages: opaque cursors, and the parameters that every list has."""

import base64
import binascii
from typing import Annotated
from uuid import UUID

from fastapi import Query

from api.bodies import NAME
from api.errors import CursorInvalidError

Limit = Annotated[int, Query(ge=1, le=100, description="Items on a page")]
Cursor = Annotated[str | None, Query(max_length=200, description="`cursor` of the page before")]
AvatarFilter = Annotated[str | None, Query(alias="avatar", pattern=NAME, max_length=63)]


def cursor(last: UUID | str | None) -> str | None:
    """The cursor that goes on after `last`."""
    if last is None:
        return None
    return base64.urlsafe_b64encode(str(last).encode()).decode().rstrip("=")


def after_id(given: str | None) -> UUID | None:
    """The id that the cursor stands for. Raises CursorInvalidError."""
    try:
        return None if given is None else UUID(_text(given))
    except ValueError as error:
        raise CursorInvalidError from error


def after_name(given: str | None) -> str:
    """The name that the cursor stands for; "" without a cursor. Raises CursorInvalidError."""
    text = "" if given is None else _text(given)
    if not text.isprintable():
        raise CursorInvalidError
    return text


def _text(given: str) -> str:
    try:
        return base64.urlsafe_b64decode(given.encode() + b"=" * (-len(given) % 4)).decode()
    except (binascii.Error, ValueError) as error:
        raise CursorInvalidError from error
