"""A step's lines: ours are JSON objects; anything else that a program writes is wrapped, never lost."""

import json
import math
import sys
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

Line = dict[str, Any]

LONGEST = 64 * 1024
"""Bytes; what is longer comes in pieces."""

_NOT_METRICS = {"time", "level", "stage", "done", "total", "eta_seconds"}


def say(message: str, level: str = "info", **fields: Any) -> Line:
    """A line of our own, or the wrapping of a foreign one."""
    return {"time": datetime.now(UTC).isoformat(timespec="milliseconds"), "level": level, "message": message, **fields}


def parse(raw: bytes) -> Iterator[Line]:
    """The lines in one raw line: one object of ours, or each piece of text between its carriage returns, wrapped."""
    text = raw.decode(errors="replace").replace("\0", "\N{REPLACEMENT CHARACTER}").rstrip("\r\n")
    found = _object(text)
    if found is not None:
        yield found if "level" in found and "time" in found else {**say(""), **found}
        return
    for piece in text.split("\r"):
        if piece.strip():
            yield say(piece)


def dump(line: Line) -> bytes:
    """The line as UTF-8, without what UTF-8 cannot hold, and its end."""
    return json.dumps(line, ensure_ascii=False, allow_nan=False).encode(errors="replace") + b"\n"


def metrics(line: Mapping[str, Any]) -> dict[str, float]:
    """The numbers in a line that are not about progress."""
    numbers = {name: value for name, value in line.items() if name not in _NOT_METRICS and _is_number(value)}
    return {name: float(value) for name, value in numbers.items()}


def number(value: Any) -> float | None:
    """`value` if it is a finite number."""
    return float(value) if _is_number(value) else None


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and -sys.float_info.max <= value <= sys.float_info.max


def _finite(text: str) -> float | str:
    value = float(text)
    return value if math.isfinite(value) else text


def _object(text: str) -> Line | None:
    if not text.lstrip().startswith("{"):
        return None
    try:
        found = json.loads(text, parse_constant=str, parse_float=_finite)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None
