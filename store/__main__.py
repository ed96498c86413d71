"""`python -m store prepare` brings the database to this version's schema and makes the bucket; `wait` returns once that is done.

On Kubernetes `prepare` is a Job, and `wait` the init container of whatever needs the schema: no program migrates at its start.
"""

import argparse
import sys
import time
from collections.abc import Callable

import urllib3
from minio.error import MinioException

from store import migrate
from store.database import AWAY, Database
from store.errors import SchemaNewerError
from store.logs import first_line
from store.objects import Objects
from store.settings import DatabaseSettings, StoreSettings, from_environment

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
        "command", choices=["prepare", "wait"], help="prepare: schema and bucket; wait: until the schema is there"
    )
    parser.add_argument("--patience", type=float, default=0.0, metavar="SECONDS", help="prepare: how long to try again")
    arguments = parser.parse_args()
    if arguments.command == "wait":
        database = Database(from_environment(DatabaseSettings).database_url)
        wait(lambda: migrate.missing(database))
        database.close()
        return 0
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
