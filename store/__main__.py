"""`python -m store prepare` brings the database to this version's schema and makes the bucket; `wait` returns once that is done.

On Kubernetes `prepare` is a Job, and `wait` the init container of whatever needs the schema: no program migrates at its start.
`keep-weights` and `fetch-weights` carry the optional weights from a folder into the bucket, and from there into another's.
"""

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path

import urllib3
from minio.error import MinioException

from store import migrate, weights
from store.database import AWAY, Database
from store.errors import SchemaNewerError, WeightsError
from store.logs import first_line
from store.objects import Objects
from store.settings import DatabaseSettings, ObjectStoreSettings, StoreSettings, from_environment

PAUSE_SECONDS = 2.0
SAY_SECONDS = 30.0
"""How often a wait that lasts says for what."""
_REASONS = (*AWAY, MinioException, urllib3.exceptions.HTTPError)


def prepare(database: Database, objects: Objects) -> str:
    """Says what it left. A schema of a newer version stays: migrations only ever add what older programs can ignore."""
    try:
        migrate.upgrade(database)
    except SchemaNewerError as error:
        sys.stderr.write(f"{error.message}; left as it is\n")
    objects.ensure_bucket()
    return f"the schema is {migrate.current(database)}, the bucket {objects.bucket} is there"


def wait(look: Callable[[], str | None], pause: float = PAUSE_SECONDS, say: float = SAY_SECONDS) -> None:
    """Returns when `look` finds nothing missing; a database that is away is waited for too."""
    said = ""
    again = 0.0
    while True:
        try:
            lack = look()
        except AWAY as error:
            lack = first_line(error)
        if lack is None:
            return
        if lack != said or time.monotonic() >= again:
            sys.stderr.write(f"waiting: {lack}\n")
            sys.stderr.flush()
            said, again = lack, time.monotonic() + say
        time.sleep(pause)


def main() -> int:
    """Exit code 1 when it could not be done, 2 for a wrong setting."""
    parser = argparse.ArgumentParser(prog="python -m store", description="Settings come from GENEFACE_*.")
    parser.add_argument(
        "command",
        choices=["prepare", "wait", "keep-weights", "fetch-weights"],
        help="prepare: schema and bucket; wait: for the schema; keep-weights: FOLDER into the bucket; fetch-weights: and back",
    )
    parser.add_argument("folder", nargs="?", type=Path, metavar="FOLDER", help="of weights; default: GENEFACE_WEIGHTS_DIR")
    parser.add_argument("--patience", type=float, default=0.0, metavar="SECONDS", help="how long to try again, but for `wait`")
    arguments = parser.parse_args()
    if arguments.command == "wait":
        database = Database(from_environment(DatabaseSettings).database_url)
        wait(lambda: migrate.missing(database))
        database.close()
        return 0
    if arguments.command.endswith("-weights"):
        return _weights(arguments.command, arguments.folder or weights.default_folder(), arguments.patience)
    settings = from_environment(StoreSettings)
    database = Database(settings.database_url)
    try:
        print(_patiently(lambda: prepare(database, Objects(settings)), arguments.patience))
    except _REASONS as error:
        sys.stderr.write(f"{first_line(error)}\n")
        return 1
    finally:
        database.close()
    return 0


def _weights(command: str, folder: Path, patience: float) -> int:
    objects = Objects(from_environment(ObjectStoreSettings))
    try:
        if command == "keep-weights":
            print(_patiently(lambda: f"kept: {', '.join(weights.keep(objects, folder)) or 'nothing new'}", patience))
        else:
            print(_patiently(lambda: f"fetched: {', '.join(weights.fetch(objects, folder)) or 'nothing new'}", patience))
    except (*_REASONS, WeightsError) as error:
        sys.stderr.write(f"{first_line(error)}\n")
        return 1
    return 0


def _patiently(action: Callable[[], str], seconds: float) -> str:
    """Servers that were started a moment ago answer a moment later."""
    end = time.monotonic() + seconds
    while True:
        try:
            return action()
        except _REASONS as error:
            if time.monotonic() >= end:
                raise
            sys.stderr.write(f"waiting: {first_line(error)}\n")
            time.sleep(PAUSE_SECONDS)


if __name__ == "__main__":
    sys.exit(main())
