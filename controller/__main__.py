"""`python -m controller` looks after all requests until SIGTERM or SIGINT."""

import argparse
import json
import logging
import signal
import sys
import threading
from datetime import UTC, datetime

from pydantic import ValidationError

from controller.app import Controller
from controller.cluster import Cluster
from controller.errors import ClusterError
from controller.settings import Settings
from store.database import Database
from store.objects import Objects
from store.settings import explain

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


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
        return json.dumps(line, default=str)


def main() -> int:
    """Exit code 0 after SIGTERM or SIGINT, 1 when the cluster cannot be had, 2 for wrong settings."""
    argparse.ArgumentParser(
        prog="python -m controller", description="Turns requests into Jobs, and Jobs into states. Settings come from GENEFACE_*."
    ).parse_args()
    try:
        settings = Settings()
    except ValidationError as error:
        sys.stderr.write("".join(line + "\n" for line in explain(error)))
        return 2
    _configure_logging(settings.log_level)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    try:
        cluster = _cluster(settings)
    except ClusterError as error:
        sys.stderr.write(f"{error.message}\n")
        return 1
    database = Database(settings.database_url)
    try:
        Controller(settings, database, Objects(settings), cluster).run(stop)
    finally:
        cluster.close()
        database.close()
    return 0


def _cluster(settings: Settings) -> Cluster:
    # Imported where it is used: other clusters need no psutil.
    from controller.local_cluster import LocalCluster  # noqa: PLC0415

    return LocalCluster(settings.work_folder, settings.slots)


def _configure_logging(level: str) -> None:
    """A sentence on a terminal, one JSON object a line elsewhere; on stderr."""
    handler = logging.StreamHandler(sys.stderr)
    plain = logging.Formatter("%(asctime)s %(levelname)-7s %(message)s", "%H:%M:%S")
    handler.setFormatter(plain if sys.stderr.isatty() else JsonLines())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    logging.getLogger("urllib3").setLevel(logging.ERROR)


if __name__ == "__main__":
    sys.exit(main())
